"""Drift: which column of which input moved away from its baseline, in which window, and how sure that is."""

from collections.abc import Mapping
from datetime import datetime

import charts
import data
import show
import streamlit as st

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.window import Span
from auditor.reports import parts
from auditor.reports.discoveries import discoveries
from auditor.reports.drift import FAMILIES, HEADLINE, inputs, modality_of
from auditor.reports.evidence import Evidence
from auditor.reports.stories import stories
from auditor.wording import distances, periods


def main() -> None:
    evidence = data.choose()
    if evidence is None:
        return
    question = "Do inputs and outputs still match the baseline? If not, where and since when?"
    show.header("Drift", question, evidence)
    st.caption(f"Compared with {show.safe(periods.baseline(evidence.baseline))}.")
    found = stories(evidence, parts.drift_alerts(evidence))
    st.markdown(parts.findings_or_calm(evidence, found, "drift alert"))
    show.findings(found, evidence)
    names = inputs(evidence)
    if not names:
        st.info(
            "There is no drift figure in this period. A baseline is needed: `auditor baseline pin --model M --since T --until T`."
        )
    st.caption(
        "Colour: distance to the baseline, from 0 (no change) on. Dots: changes unlikely to be chance "
        "(about 1 in 20 is a false alarm); large dots: also found in neighbouring windows. "
        "Frames: a control failed. A dash: no figure."
    )
    figures = [m for name in names for m in main_figures(evidence, name)]
    top = max((m.value or 0.0 for m in figures), default=0.0)
    believed = discoveries(figures)
    for place, name in enumerate(names):
        one_input(evidence, name, believed, top, legend=place == 0)
    pairs(evidence)
    missing(evidence)
    details(evidence)
    files(evidence)
    show.gaps(evidence, FAMILIES)


def one_input(
    evidence: Evidence, name: str, believed: Mapping[tuple[str, datetime], str], top: float, *, legend: bool
) -> None:
    modality = modality_of(evidence, name).replace("_", " ") if name else ""
    st.subheader(show.safe(f"{name} ({modality})" if modality else name or "Outputs and service"))
    figures = main_figures(evidence, name)
    if not figures:
        st.markdown("No distance was measured for this input.")
        return
    marks, _ = parts.firing(evidence)
    broken = {(series, end) for series, ends in marks.items() for end in ends}
    st.altair_chart(charts.heatmap(figures, broken, believed, evidence.span, top=top, legend=legend), width="stretch")
    columns = {m.attributes.get("column") for m in figures}
    furthest = max((m for m in figures if m.value is not None), key=lambda m: m.value or 0.0, default=None)
    if furthest is not None:
        text = (
            f"Furthest from the baseline: {wording.subject(furthest.attributes)} on {wording.window(furthest.span)}, "
            f"{wording.figure(furthest)}. {distances.says(furthest)} {wording.how_sure(furthest)}."
        )
        if len(columns) > 10:
            text += " Shown: the ten columns furthest from the baseline, and every one with a mark."
        st.caption(show.safe(text))


def main_figures(evidence: Evidence, name: str) -> list[Measurement]:
    """The distance of every column of an input; for what has none (categories), Jensen-Shannon."""
    mine = [m for m in evidence.of("drift.") if m.attributes.get("input", "") == name and "pair" not in m.attributes]
    found = [m for m in mine if m.metric == HEADLINE]
    have = {m.attributes.get("column") for m in found}
    return found + [m for m in mine if m.metric == "drift.jensen_shannon" and m.attributes.get("column") not in have]


def pairs(evidence: Evidence) -> None:
    figures = evidence.of("alignment.")
    if not figures:
        return
    st.subheader("Do the inputs still belong together?")
    st.caption("Each input can look as it always did while the pairs no longer match.")
    alerts = [alert for alert in evidence.alerts if alert.kind == "alignment"]
    limits = charts.limits_of(evidence.verdicts, evidence.by_id)
    metrics = list(dict.fromkeys(m.metric for m in figures))
    for column, metric in zip(st.columns(max(len(metrics), 2), gap="medium"), metrics):
        with column:
            name = wording.metric_name(metric)
            st.markdown(f"**{name[0].upper()}{name[1:]}**")
            mine = [m for m in figures if m.metric == metric]
            chart = charts.trend(mine, evidence.span, alerts=alerts, limit=limits.get(f"{metric}|"), zero=False)
            st.altair_chart(chart, width="stretch")
    st.caption("Narrow bands: 95 % intervals. Red: windows of alerts about pairs. Dashed: the control's limit.")


def missing(evidence: Evidence) -> None:
    figures = evidence.of("input.missing_rate")
    if not figures:
        return
    st.subheader("Missing inputs")
    alerts = [alert for alert in evidence.alerts if alert.kind == "missing"]
    limits = charts.limits_of(evidence.verdicts, evidence.by_id)
    limit = next((value for key, value in limits.items() if key.startswith("input.missing_rate|")), None)
    st.altair_chart(charts.trend(figures, evidence.span, alerts=alerts, limit=limit), width="stretch")
    st.caption(
        "Share of records without the input. Line bands: 95 % intervals. Red bands: alerts. Dashed: the control's limit."
    )


def details(evidence: Evidence) -> None:
    st.subheader("One column, window by window")
    series: dict[str, list[Measurement]] = {}
    for name in inputs(evidence):
        for m in main_figures(evidence, name):
            series.setdefault(wording.subject(m.attributes) or m.metric, []).append(m)
    if not series:
        st.markdown("There is no column to show.")
        return
    order = sorted(series, key=lambda key: -max((m.value or 0.0 for m in series[key]), default=0.0))
    chosen = st.selectbox("Column", order, key="column")
    mine = series[chosen]
    last = mine[-1]
    alerts = [alert for alert in evidence.alerts if alert.input and alert.input == last.attributes.get("input")]
    alerts = [alert for alert in alerts if alert.kind == last.attributes.get("modality")]
    limits = charts.limits_of(evidence.verdicts, evidence.by_id)
    limit = limits.get(f"{last.metric}|{last.attributes.get('input', '')}")
    edge = charts.noise_edge(last.n, last.n_baseline) if last.metric == HEADLINE else None
    chart = charts.trend(mine, evidence.span, title="distance", limit=limit, alerts=alerts, noise=edge)
    st.altair_chart(chart, width="stretch")
    st.caption(
        "0 is the baseline itself. Grey: where 95 % of windows lie when nothing changed. Red bands: alerts about this input. "
        "Dashed: the control's limit."
    )
    with st.expander("The figures"):
        show.figures(list(reversed(mine)))


def files(evidence: Evidence) -> None:
    st.subheader("Full reports")
    drawn = sorted(
        (item for item in evidence.artifacts if item.extension == "html"), key=lambda item: item.end, reverse=True
    )
    data.download("Drift report of the period", "drift", evidence)
    if not drawn:
        st.caption("No Evidently report was drawn in this period (`[audit] evidently`).")
        return
    names = {f"{wording.window(Span(item.start, item.end))}: {item.title}": item for item in drawn}
    chosen = names[st.selectbox("Evidently, by window", list(names), key="artifact")]
    path = data.artifact_file(chosen.filename)
    if path is None:
        st.caption(f"The file {chosen.filename} is not in the artifacts folder of this home.")
        return
    st.download_button(
        f"Download ({max(chosen.size / 1e6, 0.1):.1f} MB)",
        data=path.read_bytes,
        file_name=chosen.filename,
        mime="text/html",
        key="evidently",
    )
    st.caption(f"{path}, made by {chosen.made_by.name} {chosen.made_by.version}; open it in a browser.")


main()
