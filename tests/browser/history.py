"""Four weeks of a made-up but plausible deployment: what an audit of each day left in the store.

A ward's triage model reads a photo, a spoken clip and a note. Baseline: the week before. Then: the camera's exposure drifts
(days 7 to 10), the microphone gets a hiss (days 13 to 15), clips go missing (days 17 to 19), the photo and the clip of
different patients are swapped (days 20 to 21), one site is served worse (from day 22 on), and version 1.5.0 uses twice the
energy (from day 24 on). Everything follows from the seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from auditor.core.artifact import Artifact
from auditor.core.facts import plain
from auditor.core.identity import digest
from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.run import Audit, AuditRun
from auditor.core.verdict import Alert, AlertChange, Force, Ref, State, Verdict, Word
from auditor.core.window import DAY, Baseline, Span
from auditor.policy.verdict_facts import figure_facts
from auditor.ports import ModelSummary
from auditor.testing import make_baseline, make_measurement
from auditor.wording.alerts import told
from auditor.wording.verdicts import explained

MODEL = "ward-triage"
START = datetime.fromisoformat("2026-10-12T00:00:00+00:00")
DAYS = 28
COLUMNS = {
    ("photo", "image"): ("brightness", "contrast", "sharpness", "noise", "entropy", "foreground_share", "confidence"),
    ("clip", "audio"): ("level_dbfs", "snr_db", "floor_dbfs", "centroid_hz", "duration_s", "confidence"),
    ("note", "text"): ("words", "mean_word_length", "rare_word_share", "entropy"),
}
AFFECTED = {
    "photo": (7, 10, ("brightness", "contrast", "foreground_share", "confidence")),
    "clip": (13, 15, ("snr_db", "floor_dbfs", "centroid_hz", "confidence")),
}
SITES = {"north": 182, "south": 131, "harbour": 80, "island": 7}
UNIVARIATE, FRAME, SERVICE, CLASS = (
    Method("univariate", "1"),
    Method("metric_frame", "1"),
    Method("measure", "1"),
    Method("classification", "1"),
)
AI_ACT = "eu-ai-act"


def wilson(p: float, n: int) -> Interval:
    z = 1.96
    middle, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n),
    )
    return Interval(max(0.0, middle - half), min(1.0, middle + half), 0.95, "wilson")


@dataclass
class Day:
    """One audited day in the making."""

    number: int
    chance: random.Random
    run: str
    found: list[Measurement] = field(default_factory=list)

    @property
    def start(self) -> datetime:
        return START + self.number * DAY

    def add(self, metric: str, value: float | None, method: Method, unit: str = "1", **fields) -> Measurement:
        if value is None:
            fields.setdefault("status", Status.INSUFFICIENT_DATA)
        else:
            fields["value"] = round(value, 6)
        fields.setdefault("n_baseline", None)
        fields.setdefault("attributes", {})
        fields.setdefault("p_value", None)
        made = make_measurement(
            metric=metric, unit=unit, method=method, model=MODEL, start=self.start, revision=1, run=self.run, **fields
        )
        self.found.append(made)
        return made


def measure_day(day: Day) -> None:
    """Figures of the day, planted changes included."""
    d, r = day.number, day.chance
    for (name, modality), columns in COLUMNS.items():
        begin, end, hit = AFFECTED.get(name, (99, 0, ()))
        n = 236 if name == "clip" and 17 <= d <= 19 else 400
        for column in columns:
            planted = begin <= d <= end and column in hit
            ks = 0.34 + 0.3 * r.random() if planted else 0.02 + 0.035 * r.random()
            p = 10 ** -(14 + 20 * r.random()) if planted else 0.02 + 0.97 * r.random()
            means = {"baseline_mean": 0.13 + 0.02 * r.random(), "mean": 0.26 if planted else 0.13 + 0.02 * r.random()}
            attributes = {"column": column, "input": name, "modality": modality}
            common = {"n": n, "n_baseline": 2800, "attributes": attributes, "p_value": p, "facts": means}
            day.add("drift.ks", ks, UNIVARIATE, exact=False, bound=0.0003, **common)
            day.add("drift.wasserstein", ks * 1.4, UNIVARIATE, **{**common, "p_value": None})
        missing = (n < 400 and 0.41) or (0.005 + 0.006 * r.random() if name == "clip" else 0.0)
        day.add(
            "input.missing_rate", missing, Method("missingness", "1"), n=400, n_baseline=2800,
            attributes={"input": name, "modality": modality}, interval=wilson(missing, 400),
            p_value=1e-70 if missing > 0.2 else 0.6, facts={"baseline": 0.007 if name == "clip" else 0.0},
        )  # fmt: skip
    swapped = 20 <= d <= 21
    concordance = 0.52 if swapped else 0.87 + 0.02 * r.random()
    for metric, value in (("alignment.concordance", concordance), ("alignment.concordance.ratio", concordance / 0.88)):
        day.add(
            metric, value, Method("alignment", "1"), n=396, n_baseline=2780, attributes={"pair": "photo~clip"},
            interval=Interval(value - 0.02, value + 0.02, 0.95, "welch"), p_value=1e-40 if swapped else 0.3 + 0.5 * r.random(),
            facts={"baseline_mean": 0.88, "mean": concordance},
        )  # fmt: skip
    measure_groups(day)
    measure_service(day)


def measure_groups(day: Day) -> None:
    d, r = day.number, day.chance
    rates = {}
    for site, n in SITES.items():
        attributes = {"feature": "site", "group": site}
        if n < 10:
            day.add("fairness.accuracy", None, FRAME, reason="below_min_samples", n=n, attributes=attributes)
            continue
        p = round((0.71 if d >= 22 and site == "harbour" else 0.955 + 0.02 * r.random()) * n) / n
        rates[site] = p
        day.add("fairness.accuracy", p, FRAME, n=n, attributes=attributes, interval=wilson(p, n))
        s = round((0.3 + 0.06 * r.random()) * n) / n
        day.add("fairness.selection_rate", s, FRAME, n=n, attributes=attributes, interval=wilson(s, n))
    low, high = min(rates, key=rates.get), max(rates, key=rates.get)
    gap = rates[high] - rates[low]
    day.add(
        "fairness.accuracy.difference", gap, FRAME, n=393, attributes={"feature": "site"}, p_value=1e-11 if gap > 0.15 else 0.4,
        interval=Interval(max(0, gap - 0.06), gap + 0.06, 0.95, "newcombe"),
        facts={name: {"group": site, "value": rates[site], "n": SITES[site]} for name, site in (("lowest", low), ("highest", high))},
    )  # fmt: skip
    day.add("fairness.accuracy.ratio", rates[low] / rates[high], FRAME, n=393, attributes={"feature": "site"})
    day.add("quality.accuracy", sum(rates.values()) / 3, CLASS, n=380, interval=wilson(sum(rates.values()) / 3, 380))


def measure_service(day: Day) -> None:
    d, r = day.number, day.chance
    day.add("capture.seen", 401 if d % 9 else 406, SERVICE, "{inference}", n=400)
    day.add("capture.described", 400, SERVICE, "{inference}", n=400)
    lost = 1 if d % 9 else 6
    day.add("capture.dropped", lost, SERVICE, "{inference}", n=400, attributes={"reason": "queue_full"})
    day.add("capture.coverage", 400 / (400 + lost), SERVICE, n=400, interval=wilson(400 / (400 + lost), 400 + lost))
    day.add("labels.coverage", 0.95, SERVICE, n=400, interval=wilson(0.95, 400))
    for quantile, value in (("p50", 0.021), ("p95", 0.044)):
        day.add(f"latency.{quantile}", value * (0.95 + 0.1 * r.random()), SERVICE, "s", n=400)
    joules = (1.9 if d >= 24 else 0.94) * (0.97 + 0.06 * r.random())
    energy = {"n": 400, "how": How.MODELLED}
    for version in (None, "1.4.0" if d < 24 else "1.5.0"):
        own = Interval(joules * 0.5, joules * 1.5, 0.95, "stated error of the model")
        day.add("energy.per_inference", joules, SERVICE, "J", version=version, interval=own, **energy)
    day.add("energy.per_inference.ratio", joules / 0.94, SERVICE, n_baseline=2800, **energy)
    for component, share in (("cpu", 0.8), ("ram", 0.2)):
        day.add("energy.active", 400 * joules * share, SERVICE, "J", attributes={"component": component}, **energy)
    day.add("energy.idle", 2100 + 90 * r.random(), SERVICE, "J", n=400, how=How.MODELLED)
    day.add("carbon.emitted", (400 * joules + 2150) / 3.6e6 * 0.056, SERVICE, "kg{CO2e}", n=400, how=How.SOURCED)
    day.add("carbon.sci", None, SERVICE, "g{CO2e}/{R}", reason="not_measured")


@dataclass(frozen=True)
class Rule:
    """A control, and the day's figure and word for it."""

    control: str
    metric: str
    kind: str
    limit: float
    at_least: bool = False
    input: str | None = None
    modality: str | None = None
    slice: str = "overall"
    severity: str = "medium"
    force: Force = Force.INTERNAL
    refs: tuple[Ref, ...] = ()
    budget: float | None = None


EVIDENCES = "evidences"
RULES = (
    Rule("drift-image", "drift.ks", "image", 0.15, False, "photo", "image", budget=0.005,
         refs=(Ref(AI_ACT, "Art. 26(5)", EVIDENCES), Ref(AI_ACT, "Art. 72(2)", EVIDENCES))),
    Rule("drift-audio", "drift.ks", "audio", 0.15, False, "clip", "audio", budget=0.005,
         refs=(Ref(AI_ACT, "Art. 26(5)", EVIDENCES), Ref(AI_ACT, "Art. 72(2)", EVIDENCES))),
    Rule("drift-text", "drift.ks", "text", 0.15, False, "note", "text", budget=0.005, refs=(Ref(AI_ACT, "Art. 72(2)", EVIDENCES),)),
    Rule("missing-modality", "input.missing_rate", "missing", 0.05, False, "photo", "image", refs=(Ref(AI_ACT, "Art. 15(4)", EVIDENCES),)),
    Rule("missing-modality", "input.missing_rate", "missing", 0.05, False, "clip", "audio", refs=(Ref(AI_ACT, "Art. 15(4)", EVIDENCES),)),
    Rule("alignment", "alignment.concordance.ratio", "alignment", 0.92, True, severity="high", budget=0.005),
    Rule("accuracy-gap", "fairness.accuracy.difference", "bias", 0.10, False, severity="high", force=Force.READINESS,
         refs=(Ref(AI_ACT, "Art. 10(2)(f)", EVIDENCES), Ref("nist-ai-rmf", "MEASURE 2.11", "supports"))),
    Rule("declared-accuracy", "quality.accuracy", "quality", 0.9, True, severity="critical", force=Force.READINESS,
         refs=(Ref(AI_ACT, "Art. 15(1)", EVIDENCES), Ref(AI_ACT, "Art. 15(3)", EVIDENCES))),
    Rule("energy-per-answer", "energy.per_inference.ratio", "energy", 1.5, False, force=Force.VOLUNTARY, severity="low",
         refs=(Ref(AI_ACT, "Art. 95(2)(b)", "voluntary"), Ref("nist-ai-rmf", "MEASURE 2.12", "supports"))),
    Rule("log-completeness", "capture.coverage", "capture", 0.98, True, severity="high", force=Force.READINESS,
         refs=(Ref(AI_ACT, "Art. 12(1)", EVIDENCES),)),
)  # fmt: skip


def judge_rule(rule: Rule, day: Day, before: Verdict | None) -> Verdict:
    """The rule's verdict; the first bad day is a warning, the second a fail."""
    figures = [m for m in day.found if m.metric == rule.metric and m.version is None]
    figures = [m for m in figures if not rule.input or m.attributes.get("input") == rule.input]
    figures.sort(key=lambda m: m.value or 0.0, reverse=not rule.at_least)
    top, end = figures[0], day.start + DAY
    value = top.value or 0.0
    bad = value < rule.limit if rule.at_least else value > rule.limit
    was_bad = before is not None and before.state in (State.PENDING, State.FIRING)
    word = (Word.FAIL if was_bad else Word.WARN) if bad else Word.PASS
    state = (State.FIRING if was_bad else State.PENDING) if bad else State.OK
    since = before.since if bad and was_bad and before else end
    return verdict(
        day, rule.control, word, state=state, since=since, observed=value, limit=rule.limit, n=top.n, kind=rule.kind,
        evidence=tuple(m.id for m in figures[:8]), severity=rule.severity, force=rule.force, refs=rule.refs, input=rule.input,
        modality=rule.modality, budget_share=rule.budget,
        facts={**figure_facts(top), "series": len(figures), "condition": {
            "op": ">=" if rule.at_least else "<=", "low": rule.limit, "high": None,
            "phrase": "at least {low}" if rule.at_least else "at most {low}"}},
    )  # fmt: skip


def verdict(day: Day, control: str, word: Word, **fields) -> Verdict:
    end = day.start + DAY
    given = {
        "policy": "ward-triage-eu-ai-act", "policy_digest": digest("policy"), "refs": (), "model": MODEL, "slice": "overall",
        "start": day.start, "end": end, "underlying": word, "reason": "", "force": Force.INTERNAL, "state": State.OK,
        "since": end, "observed": None, "limit": None, "unit": "1", "n": 0, "evidence": (), "judged": end + timedelta(hours=2),
        "kind": "policy", "severity": "medium", "run": day.run, "revision": 1, "held_since": end,
    }  # fmt: skip
    given.update(fields)
    own = {"title": control.replace("-", " ").capitalize(), "step_s": DAY.total_seconds()}
    given["facts"] = plain({**own, **given.get("facts", {})})
    key = [control, given["slice"], given.get("input"), day.number]
    return explained(Verdict(id=digest(["verdict", *key])[:32], control=control, verdict=word, **given))


def standing_verdicts(day: Day) -> list[Verdict]:
    """What does not come from a figure: a statement nobody signed, a group too small, a waiver, a rule that broke."""
    return [
        verdict(day, "stop-drill", Word.INSUFFICIENT_EVIDENCE, reason="attestation_missing", force=Force.READINESS,
                refs=(Ref(AI_ACT, "Art. 14(4)(e)", "requires"),), severity="high",
                facts={"statement": "The stop procedure was exercised."}),
        verdict(day, "group-accuracy", Word.INSUFFICIENT_EVIDENCE, reason="below_min_samples", slice="site=island", n=7,
                force=Force.READINESS, refs=(Ref(AI_ACT, "Art. 10(2)(f)", EVIDENCES),), kind="bias"),
        verdict(day, "training-data-review", Word.WAIVED, underlying=Word.FAIL, reason="", force=Force.READINESS, severity="high",
                refs=(Ref(AI_ACT, "Art. 10(3)", "requires"),),
                facts={"waiver": {"by": "B. Rossi", "role": "risk owner", "until": "2027-01-31T00:00:00Z",
                                  "reason": "the review of the second data set is under way"}}),
        verdict(day, "art4-literacy", Word.PASS, force=Force.BINDING, refs=(Ref(AI_ACT, "Art. 4", "requires"),), n=1,
                facts={"statement": "The staff who use the system were trained.",
                       "signed": {"by": "C. Meyer", "role": "shift lead", "on": "2026-10-02T00:00:00Z"}}),
        verdict(day, "art50-notice", Word.NOT_APPLICABLE, force=Force.BINDING, refs=(Ref(AI_ACT, "Art. 50(1)", "requires"),),
                reason="out_of_scope"),
    ]  # fmt: skip


def alert_change(verdicts: list[Verdict], standing: dict[tuple, Alert]) -> AlertChange:
    opened, renewed, resolved = [], [], []
    for item in verdicts:
        known = standing.get(item.key)
        if item.state is State.FIRING and known is None:
            made = Alert(
                id=digest([list(map(str, item.key)), str(item.end)])[:32], kind=item.kind, model=MODEL, policy=item.policy,
                control=item.control, slice=item.slice, input=item.input, modality=item.modality, severity=item.severity,
                state="open", opened=item.end, since=item.since, renewed=item.end, resolved=None, count=1, verdict=item.id,
                budget_share=item.budget_share, facts=item.facts,
            )  # fmt: skip
            standing[item.key] = made
            opened.append(told(made))
        elif item.state is State.FIRING and known is not None:
            made = replace(known, renewed=item.end, count=known.count + 1, verdict=item.id)
            standing[item.key] = made
            renewed.append(told(made))
        elif item.state is State.OK and known is not None:
            resolved.append(told(replace(standing.pop(item.key), state="resolved", resolved=item.end, verdict=item.id)))
    return AlertChange(opened=tuple(opened), renewed=tuple(renewed), resolved=tuple(resolved))


def baseline() -> Baseline:
    return make_baseline(
        id="baseline-1", model=MODEL, span=Span(START - 7 * DAY, START), versions=("1.4.0",), by="A. Novak",
        at=START + timedelta(hours=1), frame=digest("frame"),
    )  # fmt: skip


def audits(days: int = DAYS, seed: int = 7, evidently: Artifact | None = None) -> list[Audit]:
    """The audits of all days, oldest first."""
    chance, standing, before, made = random.Random(seed), {}, {}, []
    for number in range(days):
        day = Day(number, chance, digest(["run", number])[:32])
        measure_day(day)
        verdicts = [judge_rule(rule, day, before.get((rule.control, rule.input))) for rule in RULES]
        before = {(item.control, item.input): item for item in verdicts}
        span = Span(day.start, day.start + DAY)
        run = AuditRun(
            id=day.run, model=MODEL, span=span, revision=1, baseline="baseline-1", records=400, labelled=380,
            started=span.end + timedelta(hours=2), ended=span.end + timedelta(hours=2, seconds=1),
            versions={"auditor": "0.1.0"}, policies={"ward-triage-eu-ai-act": digest("policy")}, settings=digest("settings"),
            states=digest(["states", number]),
        )  # fmt: skip
        everything = [*verdicts, *standing_verdicts(day)]
        kept = (replace(evidently, start=span.start, end=span.end, run=day.run),) if evidently else ()
        made.append(
            Audit(run=run, measurements=tuple(day.found), verdicts=tuple(everything),
                  alerts=alert_change(everything, standing), artifacts=kept)
        )  # fmt: skip
    return made


class Shelf:
    """The reads of `auditor.ports.Queries` over a list of audits."""

    def __init__(self, made: list[Audit], pinned: list[Baseline] | None = None) -> None:
        self.made, self.pinned = made, [baseline()] if pinned is None else pinned

    def models(self):
        if not self.made:
            return []
        first, last = self.made[0].run.span.start, self.made[-1].run.span.end
        return [
            ModelSummary(name=MODEL, versions=("1.4.0", "1.5.0"), first=first, last=last, records=400 * len(self.made))
        ]

    def versions(self, model, span):
        first = {}
        for m in (m for a in self.made for m in a.measurements if m.version):
            first.setdefault(m.version, (m.start, []))[1].append(span.covers(m.span))
        if "1.4.0" in first and self.pinned:
            first["1.4.0"] = (self.pinned[0].span.start, first["1.4.0"][1])
        return {version: at for version, (at, there) in first.items() if any(there)}

    def runs(self, model, span=None):
        return [a.run for a in self.made if model == MODEL and (span is None or span.covers(a.run.span))]

    def measurements(self, model, *, metric=None, span=None, version=None, all_versions=False):
        def wanted(m):
            named = metric is None or (m.metric.startswith(metric) if metric.endswith(".") else m.metric == metric)
            return named and (all_versions or m.version == version) and (span is None or span.covers(m.span))

        return [m for a in self.made for m in a.measurements if model == MODEL and wanted(m)]

    def verdicts(self, model, *, control=None, span=None):
        return [v for a in self.made for v in a.verdicts if span is None or span.covers(a.run.span)]

    def last_verdicts(self, model, before):
        return list({v.key: v for a in self.made for v in a.verdicts if v.end <= before}.values())

    def alerts(self, model=None, *, state=None, span=None):
        found: dict[str, Alert] = {}
        for audit in self.made:
            for alert in (*audit.alerts.opened, *audit.alerts.renewed, *audit.alerts.resolved):
                found[alert.id] = alert
        return [alert for alert in found.values() if state is None or alert.state == state]

    def artifacts(self, model, *, span=None):
        return [item for a in self.made for item in a.artifacts]

    def baselines(self, model):
        return self.pinned

    def losses(self, model=None):
        return []

    def outbox(self, *, dead=False):
        return []
