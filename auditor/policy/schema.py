"""The six kinds of policy document as frozen data, after reading: Policy, SystemProfile, LegalCalendar, Waiver, Attestation, PolicyTest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from auditor.core.verdict import Ref

ANY = ("*",)
"""In `where`: the attribute is there, whatever its value."""
SEVERITIES = ("low", "medium", "high", "critical")
SIGNIFICANCES = ("budget", "e-value")
RELATIONS = ("requires", "evidences", "supports", "voluntary")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a figure is held against.

    Attributes
    ----------
    op : str
        Name of the operator.
    low, high : float or None
        The range that holds: `lte 0.05` is (None, 0.05), `gte 0.9` is (0.9, None); both None: the p-value alone decides.
    phrase : str
        The operator's words, with `{low}` and `{high}`.
    strict : bool
        Whether an end itself breaks the condition.
    ci_level : float or None
        Decide on the interval instead of the point: level that the measurement's interval must have at least.
    ci_method : str or None
        Method that the interval must have been made by.
    report : str
        `compliance`: an interval that straddles the limit is insufficient evidence; `point`: only the figure decides.
    alert : str
        `violation`: page only when the whole interval is beyond the limit; `point`: when the figure is.
    """

    op: str
    low: float | None
    high: float | None
    ci_level: float | None = None
    ci_method: str | None = None
    report: str = "point"
    alert: str = "point"
    phrase: str = ""
    strict: bool = False

    @property
    def has_limit(self) -> bool:
        """Whether the size of the figure matters, not its p-value alone."""
        return self.low is not None or self.high is not None

    def text(self, number: Callable[[float], str] = "{:g}".format) -> str:
        """The condition with its ends as `number` writes them: `at most 0.05`, `between 0.01 and 0.25`."""
        low, high = ("" if end is None else number(end) for end in (self.low, self.high))
        return self.phrase.format(low=low, high=high)


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """Which measurements a control looks at.

    Attributes
    ----------
    metric : str
        A name in the catalogue.
    where : mapping of str to tuple of str or None
        Attribute to the values it may have; `ANY`: it must be there; None: it must be absent.
    slice_by : tuple of str
        Features whose groups are judged one by one (`*`: all of them; `overall`: figures without a group as well).
        Empty: figures without a group only.
    quorum : float
        Share of the series that must have a figure before the rule counts as kept; 1: all of them.
    if_never_measured : str
        `insufficient_evidence`, or `not_applicable` where a model may rightly have no such figure (no audio, no labels).
    source : str
        `metric` or `log`: how exports class the evidence.
    """

    metric: str
    where: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    slice_by: tuple[str, ...] = ()
    quorum: float = 1.0
    if_never_measured: str = "insufficient_evidence"
    source: str = "metric"


@dataclass(frozen=True, slots=True)
class AttestationEvidence:
    """A statement that a named person must have signed, how long it holds, and the facts whose change voids it."""

    statement: str
    valid_for: timedelta
    invalidated_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """How much evidence is enough, and how old it may be.

    Attributes
    ----------
    duration : timedelta or None
        Reaches back from the end of the audited window; None: the audited window.
    total, per_slice : int
        Least n of a figure; `per_slice` for groups.
    max_staleness : timedelta or None
        How long silence may last before it is called stale.
    label_delay : timedelta or None
        How long ground truth may take before its absence is a gap.
    """

    duration: timedelta | None = None
    total: int = 1
    per_slice: int = 1
    max_staleness: timedelta | None = None
    label_delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    """Hysteresis: what a figure must satisfy, and for how long, before a firing control recovers."""

    value: float | None = None
    for_: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One rule of a policy; the reference page lists every key."""

    id: str
    title: str
    basis: str
    severity: str
    refs: tuple[Ref, ...]
    evidence: MetricEvidence | AttestationEvidence
    condition: Condition | None
    owner: str = ""
    kind: str | None = None
    next: str = ""
    applies_when: Facts | None = None
    significance: str | None = None
    window: Window = Window()
    warn: Condition | None = None
    for_: timedelta = timedelta(0)
    clear: Clear = Clear()
    on_missing: str = "insufficient_evidence"
    threshold_source: Mapping[str, str] = field(default_factory=dict)
    advisory: bool = False
    on_fail: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)

    @property
    def budgeted(self) -> bool:
        """Whether a breach must be unlikely to be chance, by the policy's false-alarm budget."""
        return self.significance is not None

    @property
    def metric(self) -> str | None:
        """The metric's name, or None for attestations."""
        return self.evidence.metric if isinstance(self.evidence, MetricEvidence) else None


@dataclass(frozen=True, slots=True)
class Facts:
    """A condition on a system profile: all of `equals`, one of `any_of`, none of `none_of`."""

    equals: Mapping[str, tuple[str | bool, ...]] = field(default_factory=dict)
    any_of: tuple[Facts, ...] = ()
    none_of: tuple[Facts, ...] = ()

    def hold(self, facts: Mapping[str, tuple[str | bool, ...]]) -> bool | None:
        """Whether the facts satisfy it; None when that depends on a fact that was not declared (Kleene's logic)."""
        equal = [
            bool(set(wanted) & set(facts[name])) if name in facts else None for name, wanted in self.equals.items()
        ]
        one_of = [part.hold(facts) for part in self.any_of]
        parts = [
            *equal,
            *([True if True in one_of else None if None in one_of else False] if one_of else []),
            *(None if (found := part.hold(facts)) is None else not found for part in self.none_of),
        ]
        return False if False in parts else None if None in parts else True

    def names(self) -> set[str]:
        """The facts it asks for."""
        return set(self.equals).union(*(part.names() for part in self.any_of + self.none_of))


@dataclass(frozen=True, slots=True)
class Budget:
    """Expected false pages that the budgeted controls of a policy may cause together, per model and period."""

    false_pages: float
    per: timedelta


@dataclass(frozen=True, slots=True)
class WaiverRules:
    """What a waiver of this policy must satisfy; without such rules nothing can be waived."""

    max_duration: timedelta
    approver_roles: tuple[str, ...] = ()
    non_waivable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A set of controls with an owner, a version and, if they point at law, a calendar."""

    name: str
    version: str
    title: str
    controls: tuple[Control, ...]
    digest: str
    calendar: str | None = None
    owner: Mapping[str, str] = field(default_factory=dict)
    effective_from: datetime | None = None
    models: tuple[str, ...] = ()
    applies_when: Facts | None = None
    facts: tuple[str, ...] = ()
    budget: Budget | None = None
    waiver_rules: WaiverRules | None = None
    where: str = field(default="", compare=False)

    def control(self, control_id: str) -> Control | None:
        """The control of that id."""
        return next((control for control in self.controls if control.id == control_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemProfile:
    """What a person declared about a system: its models, roles and route. The tool never decides these."""

    name: str
    models: tuple[str, ...]
    roles: tuple[str, ...]
    route: str
    digest: str
    modalities: tuple[str, ...] = ()
    placed_on_market: datetime | None = None
    significant_change: datetime | None = None
    model_version: str | None = None
    extra: Mapping[str, tuple[str | bool, ...]] = field(default_factory=dict)
    where: str = field(default="", compare=False)

    def facts(self, served: Sequence[str] = ()) -> dict[str, tuple[str | bool, ...]]:
        """Every declared fact by name, each a tuple of its values; the versions that were `served` win over the declared."""
        found: dict[str, tuple[str | bool, ...]] = {
            "roles": self.roles,
            "route": (self.route,),
            "modalities": self.modalities,
            **self.extra,
        }
        if served or self.model_version is not None:
            found["model_version"] = tuple(served) or (self.model_version or "",)
        return found


@dataclass(frozen=True, slots=True)
class Provision:
    """A provision and the day it applies from: one day, or one for each route.

    `alternative` holds the same under another defensible reading, where the text allows two.
    """

    at: str
    title: str
    applies_from: Mapping[str, datetime]
    source: str
    confidence: str
    who: tuple[str, ...] = ()
    reading: str = "formal"
    alternative: Mapping[str, datetime] = field(default_factory=dict)
    deferred_for_legacy: bool = False

    def start(self, route: str | None) -> datetime | None:
        """From when it applies on this route (earliest over routes when the route is not known); None: never."""
        if "all" in self.applies_from:
            return self.applies_from["all"]
        return min(self.applies_from.values()) if route is None else self.applies_from.get(route)


@dataclass(frozen=True, slots=True)
class Framework:
    """Another source that controls may point at; `clauses` are its known headings (empty: not checked)."""

    src: str
    title: str
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Milestone:
    """A day on which something starts or ends."""

    on: datetime
    what: str
    provision: str
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalCalendar:
    """Dates of law as data, with the day on which a person last checked them."""

    name: str
    version: str
    src: str
    title: str
    verified_on: datetime
    provisions: tuple[Provision, ...]
    frameworks: tuple[Framework, ...]
    milestones: tuple[Milestone, ...]
    digest: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Person:
    """A named person and the role they signed in."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A named person's decision to live with a finding until a day; it changes nothing in law."""

    name: str
    control: str
    policy: str | None
    system: str | None
    slice: str | None
    reason: str
    category: str
    requested_by: Person
    approved_by: Person
    approved_on: datetime
    expires: datetime
    digest: str
    ticket: str = ""
    compensating: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A named person's signed statement about a system, for as long as the facts it names stay the same."""

    name: str
    statement: str
    system: str
    subject: Mapping[str, tuple[str | bool, ...]]
    satisfied: bool
    by: Person
    on: datetime
    digest: str
    reviewed_by: Person | None = None
    valid_until: datetime | None = None
    evidence: tuple[Mapping[str, str], ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a case expects at an offset from its start."""

    at: timedelta
    verdict: str
    state: str | None = None
    reason: str | None = None
    underlying: str | None = None
    force: str | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Evidence step by step for one control, and the verdicts it must lead to."""

    name: str
    control: str
    expect: tuple[Expectation, ...]
    series: Mapping[str, str] = field(default_factory=dict)
    slice: str = "overall"
    input: str | None = None
    modality: str = "any"
    steps: int | None = None
    profile: SystemProfile | None = None
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """Cases of one policy, run offline."""

    name: str
    policy: str
    start: datetime
    step: timedelta
    cases: tuple[Case, ...]
    digest: str
    profile: SystemProfile | None = None
    where: str = field(default="", compare=False)
