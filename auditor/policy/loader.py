"""From files to a PolicySet: every document read and checked against the others before anything is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from auditor.core.catalogue import Vocabulary
from auditor.core.errors import ConfigurationError, PolicyError
from auditor.policy.attestations import opened
from auditor.policy.meaning import problems
from auditor.policy.nodes import read_file
from auditor.policy.read import hint, read_document
from auditor.policy.schema import (
    Attestation,
    Control,
    Document,
    LegalCalendar,
    Policy,
    PolicyTest,
    SystemProfile,
    Waiver,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything that is in force together: unique names, resolved references, known metrics; `vocabulary` holds those."""

    policies: tuple[Policy, ...] = ()
    profiles: tuple[SystemProfile, ...] = ()
    calendars: tuple[LegalCalendar, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def profile(self, model: str) -> SystemProfile | None:
        """The system that lists this model."""
        return next((profile for profile in self.profiles if model in profile.models), None)

    def calendar(self, policy: Policy) -> LegalCalendar | None:
        """The calendar that a policy names."""
        return find_calendar(self.calendars, policy.calendar)

    def policy(self, name: str) -> Policy | None:
        """The policy of that name."""
        return next((policy for policy in self.policies if policy.name == name), None)

    def policy_of(self, test: PolicyTest) -> Policy:
        """The policy that a PolicyTest is about: by name, or by a file name beside the test."""
        folder = Path(_file(test.where)).parent
        for policy in self.policies:
            if policy.name == test.policy or Path(_file(policy.where)) == folder / test.policy:
                return policy
        raise PolicyError(
            "unknown_policy",
            f"no policy {test.policy!r} is loaded",
            where=test.where,
            fix=hint(test.policy, [policy.name for policy in self.policies] or ["none is loaded"]),
        )

    def digests(self) -> dict[str, str]:
        """Policy name to digest: what an audit run puts on record."""
        return {policy.name: policy.digest for policy in self.policies}


def load_policies(
    sources: Iterable[Path], vocabulary: Vocabulary, library: Iterable[Path] = (), *, checked: bool = True
) -> PolicySet:
    """Read policy files.

    Parameters
    ----------
    sources : iterable of Path
        Files and folders (searched for `*.yaml` and `*.yml`, all levels).
    vocabulary : Vocabulary
        Known metrics, modalities and operators.
    library : iterable of Path
        Files whose LegalCalendars serve wherever `sources` bring none of the same name. A `calendar.yaml` beside a
        source file always serves.
    checked : bool
        Whether to stop at what cannot be meant; False leaves that to the caller (`meaning.problems`).

    Raises
    ------
    PolicyError
        At the first problem, with file and line. Nothing is judged by a set that did not load whole.
    """
    files = _files(sources)
    documents = [item for path in files for item in _read(path, vocabulary)]
    beside = [path.with_name("calendar.yaml") for path in files]
    for path in _files([*dict.fromkeys(path for path in beside if path.is_file()), *library]):
        own = {item.name for item in documents if isinstance(item, LegalCalendar)}
        if path not in files:
            documents += [
                item for item in _read(path, vocabulary) if isinstance(item, LegalCalendar) and item.name not in own
            ]
    found = PolicySet(
        policies=_of(documents, Policy),
        profiles=_of(documents, SystemProfile),
        calendars=_of(documents, LegalCalendar),
        waivers=_of(documents, Waiver),
        attestations=tuple(opened(item, Path(item.where).parent) for item in _of(documents, Attestation)),
        tests=_of(documents, PolicyTest),
        vocabulary=vocabulary,
    )
    if checked:
        check(found)
    return found


def find_calendar(calendars: Sequence[LegalCalendar], name: str | None) -> LegalCalendar | None:
    """A calendar by `name` or `name@version`."""
    if name is None:
        return None
    plain, _, version = name.partition("@")
    return next((item for item in calendars if item.name == plain and version in ("", item.version)), None)


def find_control(found: PolicySet, control_id: str, policy: str | None = None) -> tuple[Policy, Control]:
    """The policy and control of an id; ConfigurationError `unknown_control` or `ambiguous_control`."""
    hits = [
        (item, control)
        for item in found.policies
        if policy in (None, item.name)
        for control in item.controls
        if control.id == control_id
    ]
    if len(hits) == 1:
        return hits[0]
    if hits:
        names = ", ".join(item.name for item, _ in hits)
        raise ConfigurationError(
            "ambiguous_control", f"{control_id!r} stands in {names}", where=control_id, fix="name the policy"
        )
    known = [control.id for item in found.policies for control in item.controls]
    raise ConfigurationError(
        "unknown_control",
        f"no control is called {control_id!r}",
        where=control_id,
        fix=hint(control_id, known or ["none"]),
    )


def check(found: PolicySet) -> None:
    """PolicyError at the first thing in a set that cannot be meant."""
    for problem in problems(found):
        raise problem


def _file(where: str) -> str:
    return where.rpartition(":")[0]


def _files(sources: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            found += sorted(path for path in source.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())
        else:
            found.append(source)
    return list(dict.fromkeys(found))


def _read(path: Path, vocabulary: Vocabulary) -> list[Document]:
    return [read_document(node, vocabulary) for node in read_file(path)]


def _of(documents: list[Document], kind: type[T]) -> tuple[T, ...]:
    return tuple(item for item in documents if isinstance(item, kind))
