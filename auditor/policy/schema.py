"""The six kinds of policy document: what each may hold, as msgspec structs, and the frozen objects made of them.

A class called `...Spec` is the content of a file; its subclass adds name, digest and place. `read.py` decodes, `policies/schema.json`
is generated from the same classes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec import field as named
from msgspec.structs import force_setattr

from auditor.core.verdict import Ref

OF_PROFILE = ("roles", "route", "modalities", "model_version")
"""Facts that are keys of the profile itself."""
ANY = ("*",)
"""In `where`: the attribute is there, whatever its value."""
RELATIONS = ("requires", "evidences", "supports", "voluntary")
TWO_PERSONS = "critical"
"""Severity at which a statement needs a reviewer."""

Text = Annotated[str, Meta(min_length=1, pattern=r"\S")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}(?![\s\S])")]
Names = Annotated[tuple[Text, ...], Meta(min_length=1)]
Values = tuple[str | bool, ...]
"""The values of a fact."""
OneOrMore = str | bool | Annotated[Values, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Severity = Literal["low", "medium", "high", "critical"]
Role = Literal["provider", "deployer", "importer", "distributor", "authorised_representative"]
Route = Literal["annex_iii", "annex_i", "not_high_risk", "gpai"]
Confidence = Literal["primary", "consolidated", "secondary"]
Owner = Mapping[Literal["team", "name", "email"], Text]
VerdictWord = Literal["pass", "warn", "fail", "insufficient_evidence", "error", "waived", "not_applicable"]


class FormatError(ValueError):
    """A value that reads well and means nothing: code, message, what to do, and the path below the value."""

    def __init__(self, code: str, message: str, fix: str = "", path: str = "") -> None:
        self.code, self.message, self.fix, self.path = code, message, fix, path
        super().__init__(message)


class Moment(datetime):
    """A date (its first moment in UTC) or an RFC 3339 time with an offset."""


class Duration(timedelta):
    """A length of time above zero: `72h`, `28d`, `P90D`."""


class Offset(timedelta):
    """Like a Duration; zero is allowed."""


class Days(dict[str, datetime]):
    """Route to a day; under `all` one for every route."""


class MetricName(str):
    """A metric of the catalogue, or one that belongs to a family in it."""

    __slots__ = ()


class AlertKind(str):
    """A kind that an alert can have."""

    __slots__ = ()


class _Written(type):
    """Makes `read.py` decode a field by hand although its class is a dataclass, which msgspec would decode itself."""

    made: type

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.made)


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A mapping with known keys."""


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


class Interval(_Part, frozen=True, kw_only=True):
    """Decide on an interval of at least this level."""

    level: Annotated[float, Meta(ge=0.5, le=0.9999)]
    method: Text | None = None


class Decide(_Part, frozen=True, kw_only=True):
    """What decides the word, and what moves the state machine."""

    report: Literal["compliance", "point"] | None = None
    alert: Literal["violation", "point"] | None = None


if TYPE_CHECKING:
    WrittenCondition = Condition
else:

    class WrittenCondition(metaclass=_Written):
        """A condition on a figure."""

        made = Condition


class ConditionSpec(_Part, frozen=True, kw_only=True):
    """A condition as written."""

    op: str
    value: float | tuple[float, ...] | None = None
    ci: Interval | None = None
    decide: Decide = Decide()


@dataclass(frozen=True, slots=True)
class Facts:
    """A condition on a system profile: all of `equals` and `all_of`, one of `any_of`, none of `none_of`."""

    equals: Mapping[str, Values] = field(default_factory=dict)
    all_of: tuple[Facts, ...] = ()
    any_of: tuple[Facts, ...] = ()
    none_of: tuple[Facts, ...] = ()

    def hold(self, facts: Mapping[str, Values]) -> bool | None:
        """Whether the facts satisfy it; None when that depends on a fact that was not declared (Kleene's logic)."""
        equal = [
            bool(set(wanted) & set(facts[name])) if name in facts else None for name, wanted in self.equals.items()
        ]
        one_of = [part.hold(facts) for part in self.any_of]
        parts = [
            *equal,
            *(part.hold(facts) for part in self.all_of),
            *([True if True in one_of else None if None in one_of else False] if one_of else []),
            *(None if (found := part.hold(facts)) is None else not found for part in self.none_of),
        ]
        return False if False in parts else None if None in parts else True

    def undeclared(self, facts: Mapping[str, Values]) -> list[str]:
        """The facts that nobody declared and on which it depends, sorted."""
        return sorted(self.names() - set(facts)) if self.hold(facts) is None else []

    def names(self) -> set[str]:
        """The facts it asks for."""
        return set(self.equals).union(*(part.names() for part in self._parts))

    def pairs(self) -> list[tuple[str, Values]]:
        """Every fact with the values it is compared with."""
        return [*self.equals.items(), *(pair for part in self._parts for pair in part.pairs())]

    @property
    def _parts(self) -> tuple[Facts, ...]:
        return self.all_of + self.any_of + self.none_of


if TYPE_CHECKING:
    WrittenFacts = Facts
else:

    class WrittenFacts(metaclass=_Written):
        """Facts of a system profile."""

        made = Facts


class FactSpec(_Part, frozen=True, kw_only=True):
    """A fact of a system: its type, the question that a person answers with it, and the articles it decides."""

    type: Literal["flag", "text", "list"]
    question: Text
    articles: tuple[Text, ...] = ()
    values: tuple[Text, ...] = ()


class MetricEvidence(_Part, frozen=True, kw_only=True, tag_field="kind", tag="metric"):
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
    requires : tuple of str
        Metrics that must have a figure in the window as well.
    """

    metric: MetricName
    where: Mapping[str, Text | Names | None] = {}
    slice_by: Names = ()
    quorum: Annotated[float, Meta(ge=0.01, le=1.0)] = 1.0
    if_never_measured: Literal["insufficient_evidence", "not_applicable"] = "insufficient_evidence"
    requires: tuple[MetricName, ...] = ()

    def wanted(self) -> dict[str, tuple[str, ...] | None]:
        """`where` with every value as a tuple."""
        return {name: (value,) if isinstance(value, str) else value for name, value in self.where.items()}


class LogEvidence(MetricEvidence, frozen=True, kw_only=True, tag="log"):
    """Measurements that exports class as logging."""


class AttestationEvidence(_Part, frozen=True, kw_only=True, tag_field="kind", tag="attestation"):
    """A statement that a named person must have signed, how long it holds, and the facts whose change voids it."""

    statement: Name
    valid_for: Duration
    invalidated_by: Names = ()

    @property
    def with_file(self) -> bool:
        """Whether a file must be attached, and be what was signed."""
        return False


class ArtifactEvidence(AttestationEvidence, frozen=True, kw_only=True, tag="artifact"):
    """A file that a named person filed under the statement's name."""

    @property
    def with_file(self) -> bool:
        return True


class ReportEvidence(ArtifactEvidence, frozen=True, kw_only=True, tag="report"):
    """A report that a named person filed under the statement's name."""


class MinSamples(_Part, frozen=True, kw_only=True):
    """Least n of a figure; `per_slice` for groups (None: the same)."""

    total: Count = 1
    per_slice: Count | None = None


class SmallSlice(_Part, frozen=True, kw_only=True):
    """Groups with less than this share of all records are shown and move no state."""

    below: Annotated[float, Meta(gt=0.0, lt=1.0)]
    do: Literal["report_only"] = "report_only"


class Window(_Part, frozen=True, kw_only=True):
    """How much evidence is enough, and how old it may be.

    Attributes
    ----------
    duration : timedelta or None
        Reaches back from the end of the audited window; None: the audited window.
    max_staleness : timedelta or None
        How long silence may last before it is called stale.
    label_delay : timedelta or None
        How long ground truth may take before its absence is a gap.
    """

    duration: Duration | None = None
    min_samples: MinSamples = MinSamples()
    max_staleness: Duration | None = None
    label_delay: Duration | None = None
    small_slice: SmallSlice | None = None

    @property
    def total(self) -> int:
        return self.min_samples.total

    @property
    def per_slice(self) -> int:
        least = self.min_samples
        return least.total if least.per_slice is None else least.per_slice


class Clear(_Part, frozen=True, kw_only=True):
    """Hysteresis: what a figure must satisfy, and for how long, before a firing control recovers."""

    value: float | None = None
    for_: Offset = named(name="for", default_factory=Offset)


class Incident(_Part, frozen=True, kw_only=True):
    """A draft to open when the rule is broken, and the question for a person."""

    draft: Text
    question: Text = ""


class OnFail(_Part, frozen=True, kw_only=True):
    """Recipients, and documents to draft."""

    notify: Names = ()
    incident: Incident | None = None


class RefSpec(_Part, frozen=True, kw_only=True):
    """A provision that a control is about, and how."""

    src: Text
    at: Text
    relation: Literal["requires", "evidences", "supports", "voluntary"]


class Defaults(_Part, frozen=True, kw_only=True):
    """What controls of a policy take when they leave it out."""

    severity: Severity = "medium"
    window: Window = Window()
    for_: Offset = named(name="for", default_factory=Offset)
    clear: Clear = named(default_factory=Clear)
    on_missing: Literal["insufficient_evidence", "fail", "hold_last"] = "insufficient_evidence"


class ControlSpec(Defaults, frozen=True, kw_only=True):
    """One rule of a policy; the reference page lists every key."""

    id: Name
    title: Text
    basis: Literal["binding", "voluntary", "internal"]
    evidence: MetricEvidence | LogEvidence | AttestationEvidence | ArtifactEvidence | ReportEvidence
    references: tuple[RefSpec, ...] = named(name="refs", default=())
    condition: WrittenCondition | None = None
    owner: Text = ""
    kind: AlertKind | None = None
    next: Text = ""
    applies_when: WrittenFacts | None = None
    significance: Literal["budget", "e-value"] | None = None
    warn: WrittenCondition | None = None
    threshold_source: Text | Mapping[Literal["kind", "document", "section", "url"], Text] = ""
    advisory: bool = False
    on_fail: OnFail = OnFail()

    def __post_init__(self) -> None:
        if isinstance(self.evidence, MetricEvidence) and self.condition is None:
            raise FormatError("missing_key", "a metric needs a condition", "add condition: {op: lte, value: ...}")
        if isinstance(self.evidence, AttestationEvidence):
            for key in ("condition", "warn", "significance"):
                if getattr(self, key) is not None:
                    raise FormatError("bad_value", f"a statement has no {key}", f"drop {key}")
        bare = next((part.op for part in (self.condition, self.warn) if part and not part.has_limit), None)
        if bare and self.significance is None:
            raise FormatError(
                "bad_value", f"{bare} is judged by a p-value", "add significance: budget, or give a limit"
            )
        if self.on_missing == "hold_last" and self.window.max_staleness is None:
            raise FormatError("bad_value", "hold_last needs to know for how long", "add window: {maxStaleness: ...}")
        limit = self.condition
        if self.clear.value is not None and limit is not None and (limit.low is None) == (limit.high is None):
            raise FormatError("bad_value", "clear.value fits a single limit, not a range", "drop clear.value")


class Control(ControlSpec, frozen=True, kw_only=True):
    """A rule and its place in a file."""

    where: str = ""

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The provisions it speaks to."""
        return tuple(Ref(ref.src, ref.at, ref.relation) for ref in self.references)

    @property
    def budgeted(self) -> bool:
        """Whether a breach must be unlikely to be chance, by the policy's false-alarm budget."""
        return self.significance is not None

    @property
    def metric(self) -> str | None:
        """The metric's name, or None for statements."""
        return self.evidence.metric if isinstance(self.evidence, MetricEvidence) else None

    @property
    def borrowed(self) -> bool:
        """Whether its limit is an example that the deployment has yet to replace by its own."""
        source = self.threshold_source
        words = (source,) if isinstance(source, str) else tuple(source.values())
        return any(word == "starting-point" or word.startswith("replace") for word in words)


class Budget(_Part, frozen=True, kw_only=True, rename=None):
    """Expected false pages that the budgeted controls of a policy may cause together, per model and period."""

    false_pages: Annotated[float, Meta(ge=1e-9, le=1000.0)]
    per: Duration


class WaiverRules(_Part, frozen=True, kw_only=True):
    """What a waiver of this policy must satisfy; without such rules nothing can be waived."""

    max_duration: Duration
    approver_roles: Names = named(name="requireApproverRole", default=())
    non_waivable: Names = ()


class Planned(_Part, frozen=True, kw_only=True):
    """An expected change: findings inside it are marked, not silenced."""

    control: Name
    start: Moment
    until: Moment
    owner: Text
    reason: Text

    def __post_init__(self) -> None:
        if self.until <= self.start:
            raise FormatError("planned_order", "it ends before it begins", "give a later until")


class Scope(_Part, frozen=True, kw_only=True):
    """For which models and systems a policy counts."""

    models: Names = ()
    environments: Names = ()
    applies_when: WrittenFacts | None = None


class PolicyMeta(_Part, frozen=True, kw_only=True):
    """Name, version and owner of a policy, and its calendar."""

    name: Name
    version: Text
    title: Text = ""
    owner: Owner = {}
    effective_from: Moment | None = None
    calendar: Name | None = None


class PolicySpec(_Part, frozen=True, kw_only=True):
    """The rules of a policy."""

    controls: Annotated[tuple[Any, ...], Meta(min_length=1)]
    scope: Scope = Scope()
    budget: Budget | None = None
    defaults: Defaults = named(default_factory=Defaults)
    waiver_rules: WaiverRules | None = None
    facts: Names | Mapping[Name, FactSpec] = ()
    planned_changes: tuple[Planned, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A set of controls with an owner, a version and, if they point at law, a calendar."""

    name: str
    version: str
    title: str
    controls: tuple[Control, ...]
    digest: str
    calendar: str | None = None
    owner: Owner = field(default_factory=dict)
    effective_from: datetime | None = None
    models: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    applies_when: Facts | None = None
    facts: Mapping[str, FactSpec] = field(default_factory=dict)
    budget: Budget | None = None
    waiver_rules: WaiverRules | None = None
    planned_changes: tuple[Planned, ...] = ()
    where: str = field(default="", compare=False)

    def control(self, control_id: str) -> Control | None:
        """The control of that id."""
        return next((control for control in self.controls if control.id == control_id), None)


class CaseProfile(_Part, frozen=True, kw_only=True):
    """What a person declared about a system in a test: its roles, route and facts."""

    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]
    route: Route | Literal["undeclared"]
    modalities: Names = ()
    placed_on_market: Moment | None = None
    significant_change: Moment | None = None
    model_version: Text | None = None
    environment: Text | None = None
    extra: Mapping[Name, OneOrMore] = named(name="facts", default={})


class ProfileSpec(CaseProfile, frozen=True, kw_only=True):
    """What a person declared about a system: its models, roles and route. The tool never decides these."""

    models: Names


class SystemProfile(ProfileSpec, frozen=True, kw_only=True):
    """A system as declared."""

    name: str
    digest: str
    where: str = ""

    def facts(self, served: Sequence[str] = (), modalities: Sequence[str] = ()) -> dict[str, Values]:
        """Every declared fact by name, each a tuple of its values.

        The versions that were `served` win over the declared one; `modalities` of records join the declared ones.
        """
        found: dict[str, Values] = {
            "roles": self.roles,
            "route": (self.route,),
            "modalities": tuple(dict.fromkeys((*self.modalities, *modalities))),
            **{name: values(value) for name, value in self.extra.items()},
        }
        if served or self.model_version is not None:
            found["model_version"] = tuple(served) or (self.model_version or "",)
        return found


def values(written: OneOrMore) -> Values:
    """A fact's value or values as a tuple."""
    return written if isinstance(written, tuple) else (written,)


class Provision(_Part, frozen=True, kw_only=True):
    """A provision and the day it applies from: one day, or one for each route.

    `alternative` holds the same under another defensible reading, where the text allows two. `who` are the roles that have
    the duty (empty: everyone). `legacy` says until when systems from before its date may wait: `change`: until a
    significant change in design; a day: until then, for systems on the market before `legacy_before` (the provision's own
    date where it is absent).
    """

    at: Text
    title: Text
    applies_from: Days
    source: Text
    confidence: Confidence
    who: tuple[Role, ...] = ()
    reading: Literal["formal", "dependent"] = "formal"
    alternative: Days | None = None
    deferred_for_legacy: bool = False
    legacy_until: Moment | None = None
    legacy_before: Moment | None = None
    public_body_by: Moment | None = None
    parts: tuple[Text, ...] | None = None

    def start(self, route: str | None) -> datetime | None:
        """From when it applies on this route (earliest over routes when the route is not known); None: never."""
        return start_of(self.applies_from, route)


def start_of(days: Mapping[str, datetime] | None, route: str | None) -> datetime | None:
    """The day on this route; the earliest of all when the route is not known; None where there is none."""
    if not days:
        return None
    return days.get("all") or (min(days.values()) if route is None else days.get(route))


class Framework(_Part, frozen=True, kw_only=True):
    """Another source that controls may point at; `clauses` are its known headings (empty: not checked)."""

    src: Text
    title: Text
    clauses: Names = ()


class Milestone(_Part, frozen=True, kw_only=True):
    """A day on which something starts or ends."""

    on: Moment
    what: Text
    provision: Text
    confidence: Confidence


class CalendarSpec(_Part, frozen=True, kw_only=True):
    """Dates of law as data, with the day on which a person last checked them."""

    src: Name
    title: Text
    verified_on: Moment
    provisions: Annotated[tuple[Provision, ...], Meta(min_length=1)]
    frameworks: tuple[Framework, ...] = ()
    milestones: tuple[Milestone, ...] = ()


class LegalCalendar(CalendarSpec, frozen=True, kw_only=True):
    """A calendar by name and version."""

    name: str
    version: str
    digest: str
    where: str = ""


class Person(_Part, frozen=True, kw_only=True):
    """A named person and the role they signed in."""

    name: Text
    role: Text

    @property
    def key(self) -> str:
        """The name without case, accents, dots and spaces: what tells two persons apart."""
        plain = unicodedata.normalize("NFKD", self.name).casefold()
        return "".join(letter for letter in plain if letter.isalnum())


def two_persons(first: Person, second: Person | None, what: str) -> None:
    """FormatError `self_approved` when both are the same person."""
    if second is not None and first.key == second.key:
        raise FormatError("self_approved", f"{second.name} {what}", "ask another person")


class CaseWaiver(_Part, frozen=True, kw_only=True):
    """A waiver in a test; persons and reason may be left out."""

    approved_on: Moment
    expires: Moment
    slice: Text | Mapping[str, str] | None = None
    reason: Text = "a case's waiver"
    system: Text | None = None
    category: Literal["accepted", "mitigated"] = "accepted"
    compensating: Names = ()
    ticket: Text = ""
    requested_by: Person = Person(name="A. Asker", role="ml-lead")
    approved_by: Person = Person(name="B. Approver", role="risk-owner")

    def __post_init__(self) -> None:
        two_persons(self.requested_by, self.approved_by, "approved their own waiver")
        if self.expires <= self.approved_on:
            raise FormatError("waiver_order", "expires before it is approved", "give a later expires")
        if isinstance(part := self.slice, Mapping):
            force_setattr(self, "slice", "&".join(f"{key}={part[key]}" for key in sorted(part)))


class WaiverSpec(CaseWaiver, frozen=True, kw_only=True):
    """A named person's decision to live with a finding until a day; it changes nothing in law."""

    control: Name
    reason: Text
    requested_by: Person
    approved_by: Person
    policy: Name | None = None


class Waiver(WaiverSpec, frozen=True, kw_only=True):
    """A waiver by name."""

    name: str
    digest: str
    where: str = ""


class Attachment(_Part, frozen=True, kw_only=True):
    """A file that supports a statement, and the digest it had when the statement was signed."""

    uri: Text
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?![\s\S])")]


class CaseAttestation(_Part, frozen=True, kw_only=True):
    """A statement in a test; the system is the case's."""

    statement: Name
    result: Literal["satisfied", "not_satisfied"]
    by: Person
    on: Moment
    system: Text = ""
    subject: Mapping[Name, OneOrMore] = {}
    reviewed_by: Person | None = None
    valid_until: Moment | None = None
    evidence: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        two_persons(self.by, self.reviewed_by, "reviewed their own statement")
        if self.valid_until is not None and self.valid_until <= self.on:
            raise FormatError("attestation_order", "it ends before it is signed", "give a later validUntil")


class AttestationSpec(CaseAttestation, frozen=True, kw_only=True):
    """A named person's signed statement about a system, for as long as the facts it names stay the same."""

    system: Text


class Attestation(AttestationSpec, frozen=True, kw_only=True):
    """A statement by name."""

    name: str
    digest: str
    where: str = ""

    evidence_problem: str = ""
    """`evidence_missing` or `evidence_changed`: what was found when the attached files were opened."""

    @property
    def satisfied(self) -> bool:
        return self.result == "satisfied"


class ExpectationSpec(_Part, frozen=True, kw_only=True):
    """What a case expects at an offset from its start."""

    at: Offset
    verdict: VerdictWord
    state: Literal["ok", "pending", "firing", "recovering"] | None = None
    reason: Text | None = None
    underlying: Literal["fail", "insufficient_evidence"] | None = None
    force: Literal["binding", "readiness", "voluntary", "internal"] | None = None


class Expectation(ExpectationSpec, frozen=True, kw_only=True):
    """An expectation and its place."""

    where: str = ""


class CaseSpec(_Part, frozen=True, kw_only=True):
    """Evidence step by step for one control, and the verdicts it must lead to."""

    name: Text
    control: Name
    expect: Annotated[tuple[ExpectationSpec, ...], Meta(min_length=1)]
    series: Text | Mapping[str, Text] = {}
    slice: Text = "overall"
    input: Text | None = None
    modality: Text = "any"
    steps: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    profile: CaseProfile | None = None
    waivers: tuple[CaseWaiver, ...] = ()
    attestations: tuple[CaseAttestation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case with its profile, waivers and statements as objects."""

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


class TestSpec(_Part, frozen=True, kw_only=True):
    """Cases of one policy, run offline."""

    policy: Text
    start: Moment
    step: Duration
    cases: Annotated[tuple[CaseSpec, ...], Meta(min_length=1)]
    profile: CaseProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """Cases of one policy by name."""

    name: str
    policy: str
    start: datetime
    step: timedelta
    cases: tuple[Case, ...]
    digest: str
    profile: SystemProfile | None = None
    where: str = field(default="", compare=False)


class Named(_Part, frozen=True, kw_only=True):
    """The name of a document."""

    name: Name


class CalendarMeta(Named, frozen=True, kw_only=True):
    """Name and version of a calendar."""

    version: Text


class _Document(_Part, frozen=True, kw_only=True, tag_field="kind"):
    api_version: Literal["auditor/v1"]


class PolicyDocument(_Document, frozen=True, kw_only=True, tag="Policy"):
    metadata: PolicyMeta
    spec: PolicySpec


class ProfileDocument(_Document, frozen=True, kw_only=True, tag="SystemProfile"):
    metadata: Named
    spec: ProfileSpec


class CalendarDocument(_Document, frozen=True, kw_only=True, tag="LegalCalendar"):
    metadata: CalendarMeta
    spec: CalendarSpec


class WaiverDocument(_Document, frozen=True, kw_only=True, tag="Waiver"):
    metadata: Named
    spec: WaiverSpec


class AttestationDocument(_Document, frozen=True, kw_only=True, tag="Attestation"):
    metadata: Named
    spec: AttestationSpec


class TestDocument(TestSpec, frozen=True, kw_only=True, tag_field="kind", tag="PolicyTest"):
    api_version: Literal["auditor/v1"]
    metadata: Named


DOCUMENTS = {
    "Policy": PolicyDocument,
    "SystemProfile": ProfileDocument,
    "LegalCalendar": CalendarDocument,
    "Waiver": WaiverDocument,
    "Attestation": AttestationDocument,
    "PolicyTest": TestDocument,
}
Document = Policy | SystemProfile | LegalCalendar | Waiver | Attestation | PolicyTest
