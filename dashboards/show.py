"""Pieces that several pages show: an alert's story, the gap register, verdict words, figures with their doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.verdict import Verdict, Word
from auditor.core.window import Span
from auditor.reports import parts
from auditor.reports.evidence import Evidence
from auditor.reports.gaps import NAMED, find_gaps, shortened
from auditor.reports.model import Story
from auditor.wording import vocabulary

COLOURS: dict[Word, str] = {
    Word.FAIL: "red",
    Word.ERROR: "violet",
    Word.INSUFFICIENT_EVIDENCE: "gray",
    Word.WARN: "orange",
    Word.WAIVED: "blue",
    Word.PASS: "green",
    Word.NOT_APPLICABLE: "gray",
}


def safe(text: str) -> str:
    """Text from records or policies, so that Markdown shows it as it is."""
    for character in ("\\", "`", "*", "_", "[", "]", "<", ">", "$", "#", "~", ":"):
        text = text.replace(character, f"\\{character}")
    return text


def header(title: str, question: str, evidence: Evidence) -> None:
    """The page's question, and what the answer rests on."""
    st.title(title)
    st.caption(question)
    freshness(evidence)
    last = f"last audited window {wording.window(evidence.last)}" if evidence.last else "no audited window"
    versions = f", {safe(wording.versions(evidence.first_seen))}" if evidence.first_seen else ""
    st.markdown(
        f"**{safe(evidence.model)}**{versions}  \n{last[0].upper()}{last[1:]} · "
        f"{wording.plural(sum(run.records for run in evidence.runs), 'record')} in "
        f"{wording.plural(len(evidence.runs), 'window')} of {wording.window(evidence.span)} (UTC)"
    )


def freshness(evidence: Evidence) -> None:
    """The age of the data in red, where they are old."""
    for sentence in evidence.freshness(datetime.now(UTC)):
        st.error(safe(sentence))


def counts(evidence: Evidence) -> None:
    """How many of the newest verdicts are of each word: counts, no score."""
    found = evidence.counts()
    with st.container(horizontal=True, gap="small"):
        for word, (name, meaning) in vocabulary.WORDS.items():
            st.metric(name, found[word], help=meaning[0].upper() + meaning[1:] + ".", border=True, width="stretch")


def story(told: Story, evidence: Evidence) -> None:
    """An alert: what changed, since when, how sure, what to do next."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"#### {safe(told.title)}", width="content")
            st.badge("open" if told.is_open else "resolved", color="red" if told.is_open else "blue")
            st.badge(told.alert.severity, color="gray")
        for name, text in (
            ("What changed", told.what),
            *([("In plain words", told.plainly)] if told.plainly else []),
            ("Since when", told.since),
            ("How sure", told.sure),
            ("What next", told.next),
        ):
            left, right = st.columns([2, 9], gap="small")
            left.markdown(f":gray[{name}]")
            right.markdown(safe(text))
        rules = [f"{wording.title(alert)} ({alert.policy})" for alert in (told.alert, *told.also)]
        with st.expander(f"{'Controls' if told.also else 'Control'} and evidence: {safe(wording.listing(rules))}"):
            st.markdown(safe(told.verdict.explanation if told.verdict else told.alert.explanation))
            figures(told.measurements)


def findings(told: Sequence[Story], evidence: Evidence) -> None:
    """Open findings one by one, resolved ones folded away."""
    for one in told:
        if one.is_open:
            story(one, evidence)
    closed([one for one in told if not one.is_open], evidence)


def closed(told: Sequence[Story], evidence: Evidence) -> None:
    """Resolved findings, folded away."""
    if told:
        with st.expander(wording.plural(len(told), "resolved finding")):
            for one in told:
                story(one, evidence)


def figures(measurements: Sequence[Measurement]) -> None:
    """Measurements as a table: the figure in words, never a bare number."""
    if not measurements:
        st.caption("The measurements behind this are not in the chosen period.")
        return
    st.dataframe(
        [
            {
                "figure": wording.metric_name(m.metric),
                "of": wording.subject(m.attributes) or "all",
                "window (UTC)": wording.window(Span(m.start, m.end)),
                "value": wording.figure(m),
                "by chance alone": wording.chance(m.p_value) if m.p_value is not None else "no p-value",
                "how obtained": vocabulary.HOW[m.how],
                "method": f"{m.method.name} {m.method.version}",
                "id": m.id,
            }
            for m in measurements
        ],
        hide_index=True,
        width="stretch",
    )


def gaps(evidence: Evidence, families: tuple[str, ...] = (), *, compact: bool = False) -> None:
    """What is not known: always on the page; controls that lack the same thing in one line."""
    found = shortened(find_gaps(evidence, families), most=0 if compact else NAMED)
    with st.container(border=True):
        st.markdown("#### What is not known")
        if not found:
            what = "what this page shows" if families else "this period"
            st.markdown(
                f"Nothing is missing from {what}: every window was audited and every control had evidence at the end."
            )
        for gap in found:
            text = f"- {code_as_is(gap.text)}"
            if gap.articles:
                text += f" :gray[No evidence for {safe(wording.listing([at for _, at in gap.articles], most=12))}.]"
            st.markdown(text)


def code_as_is(text: str) -> str:
    """`safe`, except between two single back-ticks."""
    pieces = re.split(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return "".join(f"`{piece}`" if place % 2 else safe(piece) for place, piece in enumerate(pieces))


def word_mark(evidence: Evidence, verdicts: Sequence[Verdict]) -> str:
    """The word of controls together as a badge inside Markdown; no green one over a failure of the period."""
    name, word = parts.standing(evidence, verdicts)
    return f":{COLOURS[word]}-badge[{name}]"


def verdict(item: Verdict, evidence: Evidence) -> None:
    """One verdict with its force, its explanation and the figures behind it."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(word_mark(evidence, [item]), width="content")
            if item.verdict is Word.WAIVED:
                st.badge(f"without the waiver: {vocabulary.WORDS[item.underlying][0]}", color="gray")
            st.markdown(f"**{safe(wording.title(item))}**", width="content")
            st.markdown(f":gray[{safe(wording.where(item))}]", width="content")
        st.markdown(safe(wording.capital(wording.body(item))))
        details = [vocabulary.FORCES[item.force], f"window of {wording.window(Span(item.start, item.end))}"]
        if item.n:
            details.append(f"n = {item.n:,}")
        if item.reason:
            details.append(wording.reason(item.reason))
        if parts.is_past_failure(evidence, [item]):
            details.append(parts.broken(evidence, [item]))
        st.caption(safe(" · ".join(details)))
        behind = evidence.evidence_of(item)
        if behind:
            with st.expander(wording.plural(len(behind), "figure") + " behind this verdict"):
                figures(behind)
