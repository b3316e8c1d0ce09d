"""The compliance review: which provision has evidence, which has a hole, and what a person still has to conclude."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.verdict import Force, Verdict, Word
from auditor.core.window import Span
from auditor.ports import Queries
from auditor.reports import parts
from auditor.reports.evidence import Evidence, gather
from auditor.reports.model import Report, Section, Table
from auditor.reports.rules import Rules
from auditor.reports.stories import stories
from auditor.wording import vocabulary


def build(queries: Queries, model: str, span: Span, *, generated: datetime, rules: Rules | None = None) -> Report:
    """The review of one model at the end of a period: the newest verdict of every control, by provision."""
    return tell(gather(queries, model, span, rules), generated=generated)


def tell(evidence: Evidence, *, generated: datetime) -> Report:
    """The report from evidence that was gathered already."""
    return parts.report(
        evidence,
        kind="compliance",
        title="Compliance review",
        question="Which provisions have evidence, which have gaps, and what does a person still have to conclude?",
        generated=generated,
        summary=_summary(evidence),
        sections=[
            _system(evidence),
            parts.alerts_section(evidence, evidence.alerts, brief=True),
            *(_framework_section(evidence, source) for source in frameworks(evidence)),
            _rules(evidence),
            _waivers(evidence),
            parts.capture_section(evidence),
            _conclusion(evidence),
        ],
        method=(
            "A control stands in a file with a digest; it names the figure, the limit and the number of records it needs. "
            "Measuring, judging and showing are separate steps.",
            "A provision shows the gravest word among its controls: fail, error, insufficient evidence, warn, waived, pass, in "
            "that order. A provision without a control is not covered, which is not a pass.",
            "A waiver changes nothing in law. It records who accepted what until when, and the verdict underneath stays.",
        ),
    )


def frameworks(evidence: Evidence) -> list[str]:
    """Sources that the current verdicts refer to: the AI Act first."""
    found = {ref.src for verdict in evidence.current for ref in verdict.refs}
    return sorted(found, key=lambda source: (source != "eu-ai-act", source))


def provisions(evidence: Evidence, source: str) -> dict[str, list[Verdict]]:
    """By provision of one source: the verdicts of its controls, gravest first."""
    found: dict[str, list[Verdict]] = {}
    for verdict in evidence.current:
        for at in dict.fromkeys(ref.at for ref in verdict.refs if ref.src == source):
            found.setdefault(at, []).append(verdict)
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def evidence_count(verdicts: Sequence[Verdict]) -> str:
    """`4 of 6` verdicts that have evidence: counts, never a percentage."""
    silent = (Word.INSUFFICIENT_EVIDENCE, Word.ERROR)
    asked = [verdict for verdict in verdicts if verdict.verdict is not Word.NOT_APPLICABLE]
    if not asked:
        return "does not apply"
    able = sum(verdict.underlying not in silent for verdict in asked)
    return f"{able} of {len(asked)}"


def rules_with_reach(verdicts: Sequence[Verdict]) -> list[str]:
    """The controls by their titles, each with how long the figures are that it looks at, where that is not one window."""
    found: dict[str, None] = {}
    for verdict in verdicts:
        duration = wording.reach(verdict)
        longer = duration != verdict.end - verdict.start
        found[f"{wording.title(verdict)}{f' (over {wording.length(duration)})' if longer else ''}"] = None
    return list(found)


def _natural(text: str) -> list[tuple[int, str]]:
    """`Art. 9` before `Art. 10`, annexes last."""
    digits = "".join(character if character.isdigit() else " " for character in text).split()
    annex = [(1, "")] if text.startswith("Annex") else [(0, "")]
    return annex + [(int(part), "") for part in digits[:2]] + [(0, text)]


def _summary(evidence: Evidence) -> list[str]:
    if not evidence.current:
        return ["No control judged this model in the period; see the gaps."]
    counts = evidence.counts()
    told = [f"{count} {vocabulary.WORDS[word][0].lower()}" for word, count in counts.items() if count]
    sentences = [
        f"At the end of the period {wording.plural(len(evidence.current), 'control and slice', 'controls and slices')} had a verdict: "
        f"{wording.listing(told, most=9)}. These are counts, not a score."
    ]
    binding = [v for v in evidence.current if v.force is Force.BINDING]
    if binding:
        bad = [v for v in binding if v.verdict is Word.FAIL]
        unknown = [v for v in binding if v.verdict in (Word.INSUFFICIENT_EVIDENCE, Word.ERROR)]
        sentences.append(
            f"{wording.plural(len(binding), 'verdict')} {'is' if len(binding) == 1 else 'are'} about duties that bind today: "
            f"{len(bad)} {'fails' if len(bad) == 1 else 'fail'}, {len(unknown)} {'lacks' if len(unknown) == 1 else 'lack'} "
            "evidence."
        )
    else:
        sentences.append("No control covers a duty that binds this system today.")
    sentences.append(parts.findings_or_calm(evidence, stories(evidence)))
    return sentences


def _framework_section(evidence: Evidence, source: str) -> Section:
    by_provision = provisions(evidence, source)
    rows = tuple(
        (
            f"{at}, {name}" if (name := evidence.rules.provision(source, at)) else at,
            parts.standing(evidence, verdicts)[0],
            parts.broken(evidence, verdicts),
            wording.listing(sorted({str(verdict.force) for verdict in verdicts})),
            evidence_count(verdicts),
            wording.listing(rules_with_reach(verdicts), most=4),
        )
        for at, verdicts in by_provision.items()
    )
    verdicts = tuple({v.id: v for group in by_provision.values() for v in group}.values())
    return Section(
        id=f"framework-{source}",
        title=evidence.rules.framework(source),
        text=(
            "Each line is a provision with at least one control. A control gives data about a provision; it does not by "
            "itself fulfil it. Every control is judged at the end of each window"
            f"{f' ({wording.length(evidence.step)})' if evidence.runs else ''}; a longer period is stated beside the control.",
            *_dates(evidence, source),
        ),
        tables=(
            Table(
                columns=("Provision", "Verdict at the end", "Broken", "Force", "With evidence", "Controls"), rows=rows
            ),
        ),
        verdicts=verdicts,
        cards=False,
        measurements=_behind(evidence, verdicts),
    )


def _rules(evidence: Evidence) -> Section | None:
    if not evidence.current:
        return None
    return Section(
        id="controls",
        title="Control by control",
        text=(
            "The newest verdict of every control, the gravest first. A control is binding when its duty is in force "
            "today; readiness means that the duty is not in force yet; internal controls are the operator's own.",
        ),
        verdicts=evidence.current,
        measurements=_behind(evidence, evidence.current),
    )


def _dates(evidence: Evidence, source: str) -> list[str]:
    return [
        f"What is in force when follows the calendar {calendar.name} {calendar.version}, last checked by a person on "
        f"{wording.day(calendar.verified_on)}."
        for calendar in evidence.rules.calendars
        if calendar.src == source
    ]


def _system(evidence: Evidence) -> Section | None:
    if evidence.rules.policies is None:
        return None
    profile = evidence.rules.profile(evidence.model)
    if profile is None:
        text = (
            "No system profile lists this model: its roles, its route under the AI Act and its "
            "intended use are not declared. Duties that depend on them have no verdict."
        )
        return Section(id="system", title="Declared facts about the system", text=(text,))
    rows = (
        ("System", profile.name),
        ("Roles", wording.listing([role.replace("_", " ") for role in profile.roles]) or "none declared"),
        ("Route", profile.route.replace("_", " ")),
        ("Models", wording.listing(list(profile.models))),
    )
    return Section(
        id="system",
        title="Declared facts about the system",
        text=("A person declares these facts; the tool never decides them.",),
        tables=(Table(columns=("Fact", "Declared"), rows=rows),),
    )


def _waivers(evidence: Evidence) -> Section:
    waived = parts.verdicts_where(evidence, lambda verdict: verdict.verdict is Word.WAIVED)
    text = (
        "Each waiver is shown with the verdict it covers; the finding remains."
        if waived
        else "No waiver was in effect at the end of the period."
    )
    rows = tuple(
        (
            waiver.control,
            waiver.reason,
            f"{waiver.approved_by.name} ({waiver.approved_by.role})",
            wording.day(waiver.expires),
        )
        for waiver in evidence.rules.waivers(evidence.current)
    )
    on_file = Table(caption="Waivers on file", columns=("Control", "Reason", "Approved by", "Until"), rows=rows)
    return Section(id="waivers", title="Waivers", text=(text,), verdicts=waived, tables=(on_file,) if rows else ())


def _conclusion(evidence: Evidence) -> Section:
    return Section(
        id="conclusion",
        title="Human conclusion",
        text=(
            f"About {evidence.model}, {wording.window(evidence.span)}: what follows from the evidence and the gaps above, and "
            "what will be done.",
        ),
        conclusion=True,
    )


def _behind(evidence: Evidence, verdicts: Sequence[Verdict]) -> tuple[Measurement, ...]:
    found = {m.id: m for verdict in verdicts for m in evidence.evidence_of(verdict)}
    return tuple(found.values())
