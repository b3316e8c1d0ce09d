"""Overview: open alerts first, then what happened, then what the model costs; the gaps stay in view."""

import charts
import data
import show
import streamlit as st

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.window import Span
from auditor.reports import parts
from auditor.reports.evidence import Evidence
from auditor.reports.stories import stories
from auditor.wording import vocabulary


def main() -> None:
    evidence = data.choose()
    if evidence is None:
        return
    show.header("Overview", "Is anything wrong, since when, how sure is that, and what should be done?", evidence)
    show.counts(evidence)
    st.caption(
        "Newest verdict of every control and slice. A pass says that a rule held. It never says that a law is met."
    )
    left, right = st.columns([2, 1], gap="medium")
    with left:
        open_alerts(evidence)
    with right:
        show.gaps(evidence, compact=True)
    happened(evidence)
    service(evidence)


def open_alerts(evidence: Evidence) -> None:
    found = stories(evidence, evidence.open_alerts)
    st.subheader(f"Open findings ({len(found)})")
    if not found:
        st.markdown(
            "No alert is open. Controls without evidence raise none: see *What is not known*."
            if evidence.empty < len(evidence.runs)
            else "No audited window has a record: no alert can be opened."
        )
    else:
        st.caption(f"{wording.plural(len(evidence.open_alerts), 'alert')}. {parts.WHAT_A_FINDING_IS}")
    for told in found:
        show.story(told, evidence)


def happened(evidence: Evidence) -> None:
    st.subheader("Findings over time")
    found = stories(evidence)
    if not found:
        st.markdown(parts.findings_or_calm(evidence, found))
        return
    st.altair_chart(charts.timeline(found, evidence.span, evidence.step), width="stretch")
    st.caption(f"{parts.finding_counts(found)} A bar covers the windows in which it was seen.")
    show.closed([told for told in found if not told.is_open], evidence)


def service(evidence: Evidence) -> None:
    span: Span = evidence.span
    first, second, third = st.columns(3, gap="medium")
    with first:
        st.subheader("Records")
        st.altair_chart(charts.records(evidence.runs, span), width="stretch")
    with second:
        st.subheader("Coverage and loss")
        coverage = evidence.of("capture.coverage")
        if any(m.value is not None for m in coverage):
            chart = charts.trend(coverage, span, label=lambda m: "coverage", zero=False, height=200)
            st.altair_chart(chart, width="stretch")
            lost = sum(m.value or 0 for m in evidence.of("capture.dropped") if m.attributes.get("reason") != "sampled")
            said = wording.plural(round(lost), "call").capitalize() if lost else "No call"
            st.caption(f"{said} of the period left no record. Band: interval.")
        else:
            st.markdown(f"Coverage is not known: {absent(coverage)}.")
    with third:
        st.subheader("Energy per inference")
        energy = [m for m in evidence.of("energy.per_inference") if "input" not in m.attributes]
        if any(m.value is not None for m in energy):
            chart = charts.trend(
                energy, span, label=lambda m: "J per inference", title="J", intervals=False, height=200
            )
            st.altair_chart(chart, width="stretch")
            st.caption(
                f"How obtained: {wording.listing(sorted({vocabulary.HOW[m.how] for m in energy if m.value is not None}))}."
            )
        else:
            st.markdown(f"Energy is not known: {absent(energy)}.")


def absent(measurements: list[Measurement]) -> str:
    """Why there is no number."""
    return wording.reason(measurements[-1].reason if measurements else "not_measured")


main()
