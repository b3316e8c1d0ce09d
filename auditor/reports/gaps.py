"""The gap register: what the evidence does not show. Every export begins with it, and no page hides it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from auditor import wording
from auditor.core.measurement import How, Measurement, Status
from auditor.core.verdict import Verdict, Word
from auditor.core.window import Span
from auditor.reports.evidence import Evidence, absences, is_of_slice
from auditor.reports.model import Gap

_FIX = {
    "fact_not_declared": "Declare the fact under spec.facts of the system profile.",
    "no_system_profile": "Add a SystemProfile that lists this model under policies/ of the home.",
    "below_min_samples": "Wait for more records, or audit longer windows.",
    "unlabelled": "Send ground truth: `auditor label FILE`.",
    "attestation_missing": "A responsible person signs an Attestation, a file among the home's policies.",
    "attestation_expired": "A responsible person signs again, in an Attestation among the home's policies.",
    "no_baseline": "Pin a baseline: `auditor baseline pin`.",
    "no_country": "Set `[energy] country` to the country whose grid feeds the machine.",
    "extra_missing": "Install the library: `pip install 'auditor[all]'`.",
    "interval_straddles_threshold": "Wait for more records, or audit longer windows.",
    "inside_baseline": "Wait for a window after the baseline, or pin an earlier baseline.",
    "baseline_outdated": "Pin the baseline again: `auditor baseline pin`.",
    "no_data": "Find out whether the model was idle or its agent was silent.",
    "one_group": "Wait for records of a second group, or check how the group is captured.",
    "one_class": "Wait for records of a second class, or check how the label is captured.",
    "not_binary": "Judge this model by a metric for more than two classes.",
    "undefined": "Wait for more records, or audit longer windows.",
    "absent_in_baseline": "Pin a baseline of a period that has the column.",
    "absent_in_window": "Find out why the column is no longer sent.",
    "constant": "Nothing to do, unless the column ought to vary.",
    "open_vocabulary": "Exclude the column from drift, or map its categories to a closed list.",
    "describer_changed": "Pin a baseline of records described by the present version.",
    "not_measured": "Check that the part that reports this figure is switched on.",
    "plugin_failed": "Read the plugin's error in the log and mend or remove the plugin.",
    "over_limit": "Raise the limit, or send smaller records.",
}


def find_gaps(evidence: Evidence, families: tuple[str, ...] = ()) -> tuple[Gap, ...]:
    """Missing evidence in the period, the gravest first.

    Parameters
    ----------
    families : tuple of str
        First parts of metric names (`drift`, `energy`) that the reader asked about; empty means all.
    """

    def about(*names: str) -> bool:
        return not families or any(name in families for name in names)

    found: list[Gap] = [*_lost(evidence), *_undelivered(evidence), *_time(evidence)]
    if evidence.runs:
        found += _rules(evidence, [v for v in evidence.current if about(_family(evidence, v))])
        if not families:
            found += evidence.rules.gaps(evidence.current, evidence.model)
        found += _capture(evidence)
        if about("quality", "fairness"):
            found += _labels(evidence)
        if about("energy", "carbon"):
            found += _energy(evidence)
        found += _figures(evidence, families)
    return tuple({(gap.code, gap.text): gap for gap in found}.values())


NAMED = 12
"""How many controls that lack the same thing are named."""


def shortened(found: Sequence[Gap], most: int = NAMED) -> tuple[Gap, ...]:
    """Gaps of controls with one reason as one line, which names the first `most` of them; the others as they are."""
    by_reason: dict[str, list[Gap]] = {}
    for gap in found:
        by_reason.setdefault(gap.code if gap.control else gap.text, []).append(gap)
    lines = []
    for same in by_reason.values():
        if len(same) < 2:
            lines += same
            continue
        names = list(dict.fromkeys(f"“{gap.title}”" for gap in same))
        text = f"{wording.plural(len(same), 'control')} without a verdict: {wording.reason(same[0].code)}"
        articles = tuple(dict.fromkeys(article for gap in same for article in gap.articles))
        lines.append(
            replace(
                same[0],
                text=f"{text} ({wording.listing(names, most=most)})." if most else f"{text}.",
                articles=articles,
            )
        )
    return tuple(lines)


def _family(evidence: Evidence, verdict: Verdict) -> str:
    deciding = evidence.deciding(verdict)
    if deciding is not None:
        return deciding.metric.split(".", 1)[0]
    return {"bias": "fairness", "energy": "energy", "missing": "input", "alignment": "alignment"}.get(
        verdict.kind, verdict.kind if verdict.kind in ("quality", "capture", "policy") else "drift"
    )


def _time(evidence: Evidence) -> Iterable[Gap]:
    if not evidence.runs:
        yield Gap(
            code="not_audited",
            text=f"No window was audited between {wording.moment(evidence.span.start)} and "
            f"{wording.moment(evidence.span.end)}: nothing is known about this period.",
            fix=f"Run `auditor audit --model {evidence.model}`.",
        )
        return
    holes = _holes(evidence)
    if holes:
        yield Gap(
            code="not_audited",
            text=f"{wording.plural(len(holes), 'stretch', 'stretches')} of the period not audited: "
            f"{wording.listing([wording.window(hole) for hole in holes])}.",
            fix=f"Run `auditor audit --model {evidence.model} --since T --until T` for them.",
        )
    empty = [run.span for run in evidence.runs if run.records == 0]
    if empty:
        yield Gap(
            code="no_data",
            text=f"No record at all in {wording.plural(len(empty), 'audited window')}: "
            f"{wording.listing([wording.window(span) for span in empty])}.",
            fix="Check whether the model was idle or its agent stopped sending.",
        )
    if evidence.baseline is None:
        yield Gap(
            code="no_baseline",
            text="No baseline is pinned, so no change can be measured.",
            fix=f"Run `auditor baseline pin --model {evidence.model} --since T --until T`.",
        )
    if not evidence.current:
        yield Gap(
            code="not_covered",
            text="No control judged this model: its figures have no verdict.",
            fix="Put a policy in force: files under policies/ of the home, or `[policy] packs`.",
        )


def _lost(evidence: Evidence) -> Iterable[Gap]:
    for loss in evidence.losses:
        yield Gap(
            code="lost_from_archive",
            text=f"{wording.capital(wording.lost(loss))}. Figures of that day rest on what is left.",
            fix=""
            if loss.accepted
            else "Put the file back, ingest its records again, or put the loss on record: `auditor db accept-loss`.",
        )


def _undelivered(evidence: Evidence) -> Iterable[Gap]:
    for backlog in evidence.waiting:
        yield Gap(
            code="deliveries_waiting",
            text=f"{wording.backlogs.waiting(backlog)}: whoever reads there does not see them yet.",
            fix="Bring the sink back: the next audit sends them, in order.",
        )
    for backlog in evidence.dead:
        yield Gap(
            code="deliveries_refused",
            text=f"{wording.backlogs.refused(backlog)}.",
            fix="Mend the cause, then run `auditor db redeliver`.",
        )


def _holes(evidence: Evidence) -> list[Span]:
    holes, reached = [], evidence.span.start
    for span in evidence.windows:
        if span.start > reached:
            holes.append(Span(reached, span.start))
        reached = max(reached, span.end)
    return [*holes, Span(reached, evidence.span.end)] if reached < evidence.span.end else holes


def _rules(evidence: Evidence, verdicts: Iterable[Verdict]) -> Iterable[Gap]:
    for verdict in verdicts:
        if verdict.verdict not in (Word.INSUFFICIENT_EVIDENCE, Word.ERROR):
            continue
        code = verdict.reason or str(verdict.verdict)
        said = "could not be evaluated" if verdict.verdict is Word.ERROR else "has no verdict"
        yield Gap(
            code=code,
            text=f"“{wording.title(verdict)}”{_place(verdict)} {said}: {wording.reason(code)}"
            f"{f' (n = {verdict.n:,})' if verdict.n else ''}.",
            fix=_FIX.get(code, ""),
            articles=tuple((ref.src, ref.at) for ref in verdict.refs),
            control=verdict.control,
            title=wording.title(verdict),
            slice=verdict.slice,
            input=verdict.input,
        )


def _place(verdict: Verdict) -> str:
    place = wording.where(verdict)
    return "" if place == "all traffic" else f" ({place})"


def _capture(evidence: Evidence) -> Iterable[Gap]:
    lost: dict[str, float] = {}
    for m in evidence.of("capture.dropped"):
        if m.value and m.attributes.get("reason") != "sampled":
            code = m.attributes.get("reason", "unknown")
            lost[code] = lost.get(code, 0.0) + m.value
    for code, count in sorted(lost.items(), key=lambda item: -item[1]):
        yield Gap(
            code=code,
            text=f"{wording.plural(round(count), 'call')} of the period left no record: {wording.reason(code)}.",
            fix="See the agent's log on the host.",
        )
    sampled = sum(m.value or 0.0 for m in evidence.of("capture.dropped", reason="sampled"))
    if sampled:
        yield Gap(
            code="sampled",
            text=f"{wording.plural(round(sampled), 'call')} counted but not described: {wording.reason('sampled')}.",
            fix="Raise `[agent] cpu_share` to describe more of them.",
        )


def _labels(evidence: Evidence) -> Iterable[Gap]:
    records = sum(run.records for run in evidence.runs)
    labelled = sum(run.labelled for run in evidence.runs)
    if labelled < records:
        yield Gap(
            code="unlabelled",
            text=f"Ground truth is known for {labelled:,} of {records:,} records "
            f"({100 * labelled / records:.0f} %); accuracy and bias are known for those alone.",
            fix=_FIX["unlabelled"],
        )


def _energy(evidence: Evidence) -> Iterable[Gap]:
    if any(m.how is How.MODELLED for m in evidence.of("energy.")):
        yield Gap(
            code="modelled",
            text="Joules are modelled from processor use, not read from a meter; published errors of such models "
            "reach 40 % and more: for comparison, not for accounting.",
            fix="Run where the processor's energy counters can be read, or calibrate against a wall meter.",
        )
    if not evidence.of("energy."):
        yield Gap(
            code="not_measured",
            text="No energy was counted for this model.",
            fix='Start the agent with `energy="codecarbon"`.',
        )


def _figures(evidence: Evidence, families: tuple[str, ...]) -> Iterable[Gap]:
    """Figures without a number in the last window, one gap for each metric and reason.

    A figure that does not apply is no gap, nor is a distance of a column that another distance speaks for.
    """
    grouped: dict[tuple[str, str], list[Measurement]] = {}
    latest = [m for m in evidence.measurements if m.version is None and m.span == evidence.last and not is_of_slice(m)]
    told = {_column(m) for m in latest if m.value is not None and m.metric.startswith("drift.")}
    for m in absences(latest):
        by_design = m.status is Status.NOT_APPLICABLE and m.reason != "describer_changed"
        otherwise = m.metric.startswith("drift.") and _column(m) in told
        if not by_design and not otherwise:
            grouped.setdefault((m.metric, m.reason), []).append(m)
    for (metric, code), items in grouped.items():
        if families and metric.split(".", 1)[0] not in families:
            continue
        named = [(wording.subject(m.attributes), f" (n = {m.n:,})" if m.n else "") for m in items]
        names = [name + count for name, count in named if name]
        of = f" for {wording.listing(names)}" if names else ""
        name = wording.metric_name(metric)
        yield Gap(
            code=code,
            text=f"{name[:1].upper()}{name[1:]}{of} is not known in the last window: {wording.reason(code)}.",
            fix=_FIX.get(code, ""),
        )


def _column(m: Measurement) -> tuple[str, str]:
    return m.attributes.get("input", ""), m.attributes.get("column", "")
