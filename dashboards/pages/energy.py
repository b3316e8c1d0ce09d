"""Energy: joules, watt-hours and carbon of inferences, each with how it was obtained."""

import charts
import data
import show
import streamlit as st

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.reports import parts
from auditor.reports.energy import FAMILIES, carbon_sentence, spread, spread_text, total, weighted_mean, wh_per_1000
from auditor.reports.evidence import Evidence
from auditor.reports.stories import stories


def main() -> None:
    evidence = data.choose()
    if evidence is None:
        return
    show.header("Energy", "How much energy and carbon does an inference use, and how sure is that?", evidence)
    figures = [m for m in evidence.of("energy.per_inference") if "input" not in m.attributes]
    show.findings(stories(evidence, [alert for alert in evidence.alerts if alert.kind == "energy"]), evidence)
    headline(evidence, figures)
    over_time(evidence, figures)
    versions(evidence)
    carbon(evidence)
    show.gaps(evidence, FAMILIES)
    data.download("Energy report of the period", "energy", evidence)


def headline(evidence: Evidence, figures: list[Measurement]) -> None:
    how = parts.how_words(figures)
    st.badge(f"How obtained: {how}", color="gray")
    mean = weighted_mean(figures)
    if mean is None:
        st.markdown(
            f"Energy per inference is not known: {wording.reason(figures[-1].reason if figures else 'not_measured')}."
        )
        return
    ratio = evidence.latest("energy.per_inference.ratio")
    kg, _, _ = total(evidence.of("carbon.emitted"))
    with st.container(horizontal=True, gap="small"):
        st.metric("Energy per inference", wording.quantity(mean, "J"), border=True, help=f"Mean of the period; {how}.")
        st.metric(
            "Per 1,000 inferences",
            f"{wording.number(wh_per_1000(mean))} Wh",
            border=True,
            help=f"Active energy; {how}.",
        )
        known = ratio[0].value if ratio else None
        text = f"{wording.number(known)}×" if known is not None else "not known"
        said = wording.figure(figures[-1])
        st.metric("Last window against the baseline", text, border=True, help=f"Last window: {said}.")
        carbon_text = wording.quantity(kg, "kg{CO2e}") if kg is not None else "not known"
        st.metric("Carbon of the period", carbon_text, border=True, help="Location-based, all energy counted.")
    last = figures[-1]
    if last.value is not None:
        st.caption(
            show.safe(
                f"Last window: {wording.quantity(last.value, 'J')} per inference. {spread_text(spread(evidence, last))}"
            )
        )


def over_time(evidence: Evidence, figures: list[Measurement]) -> None:
    alerts = [alert for alert in evidence.alerts if alert.kind == "energy"]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Energy per inference")
        if figures:
            chart = charts.trend(
                figures,
                evidence.span,
                label=lambda m: "J per inference",
                title="J per inference",
                alerts=alerts,
                height=240,
            )
            st.altair_chart(chart, width="stretch")
            band = "Band: the stated error of the method. " if any(m.interval for m in figures) else ""
            st.caption(f"{band}Red: windows of alerts about energy. How obtained: {parts.how_words(figures)}.")
        else:
            st.markdown("No energy was counted.")
    with right:
        st.subheader("Active and idle energy")
        parts_of = [*evidence.of("energy.active"), *evidence.of("energy.idle")]
        if any(m.value is not None for m in parts_of):

            def label(m: Measurement) -> str:
                return "idle" if m.metric == "energy.idle" else f"active {m.attributes.get('component', '')}".strip()

            st.altair_chart(charts.stacked(parts_of, evidence.span, label=label, title="J per window"), width="stretch")
            st.caption(
                "Active: what calls used. Idle: what the process used while no call ran. Energy per inference counts the active "
                "part alone; carbon counts both."
            )
        else:
            st.markdown("The split into active and idle energy is not known.")


def versions(evidence: Evidence) -> None:
    figures = [m for m in evidence.of("energy.per_inference", by_version=True) if "input" not in m.attributes]
    if not figures:
        return
    st.subheader("By version")
    rows = []
    for version in dict.fromkeys(m.version for m in figures):
        mine = [m for m in figures if m.version == version]
        mean = weighted_mean(mine)
        rows.append(
            {
                "version": version or "unnamed",
                "per inference": wording.quantity(mean, "J") if mean is not None else wording.reason(mine[-1].reason),
                "Wh per 1,000 inferences": wording.number(wh_per_1000(mean)) if mean is not None else "not known",
                "n": f"{sum(m.n for m in mine if m.value is not None):,}",
                "how obtained": parts.how_words(mine),
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch")


def carbon(evidence: Evidence) -> None:
    st.subheader("Carbon")
    figures = evidence.of("carbon.emitted")
    if any(m.value is not None for m in figures):
        chart = charts.trend(
            figures, evidence.span, label=lambda m: "g CO2e", title="g CO2e per window", factor=1000, height=200
        )
        st.altair_chart(chart, width="stretch")
        st.caption(show.safe(carbon_sentence(evidence)))
    else:
        why = wording.reason(figures[-1].reason) if figures else wording.reason("no_country")
        st.markdown(f"Carbon is not known: {why}. Set `[energy] country` in `auditor.toml`.")


main()
