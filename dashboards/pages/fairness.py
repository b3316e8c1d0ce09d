"""Fairness: outcomes by group with their intervals. It assesses; it never calls a model fair or free of bias."""

import charts
import data
import show
import streamlit as st

from auditor import wording
from auditor.core.verdict import Alert, Word
from auditor.reports.evidence import Evidence
from auditor.reports.fairness import FAMILIES, compared, features, gap_sentence, groups, rates
from auditor.reports.stories import stories


def main() -> None:
    evidence = data.choose()
    if evidence is None:
        return
    question = "How do outcomes differ between groups, and how sure can one be with so many records?"
    show.header("Fairness", question, evidence)
    show.findings(stories(evidence, [alert for alert in evidence.alerts if alert.kind == "bias"]), evidence)
    names = sorted(features(evidence), key=lambda name: -_widest(evidence, name))
    if not names:
        st.info('No feature came with the records. Name one with `record.group(site="north")` to compare its groups.')
    else:
        left, right = st.columns(2)
        feature = left.selectbox("Feature", names, key="feature")
        metric = right.selectbox("Outcome", rates(evidence, feature), format_func=wording.metric_name, key="outcome")
        outcomes(evidence, feature)
        by_group(evidence, feature, metric)
        over_time(evidence, feature, metric)
    st.caption(
        "There is no single definition of fairness: which rate matters, and which difference is acceptable, depends on who is "
        "harmed by which error. A group too small to judge is not a group that is treated well."
    )
    show.gaps(evidence, FAMILIES)
    data.download("Fairness report of the period", "fairness", evidence)


def outcomes(evidence: Evidence, feature: str) -> None:
    rows = [
        {"outcome": outcome, "result": result, "largest difference between groups": figure}
        for outcome, result, figure in compared(evidence, feature)
    ]
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")


def by_group(evidence: Evidence, feature: str, metric: str) -> None:
    st.subheader(show.safe(f"{wording.metric_name(metric).capitalize()} by {feature.replace('_', ' ')}, last window"))
    latest = groups(evidence.latest(metric, feature=feature))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.altair_chart(charts.group_intervals(latest), width="stretch")
        st.caption(
            "Dots: the group's rate. Whiskers: its interval. Lowest first; groups without a figure keep their line."
        )
    with right:
        for m in evidence.latest(f"{metric}.difference", feature=feature):
            st.markdown(show.safe(gap_sentence(m)))
        small = [m for m in latest if m.value is None]
        for m in small:
            st.markdown(show.safe(f"{m.attributes['group']}: insufficient, {wording.reason(m.reason)} (n = {m.n})."))


def _widest(evidence: Evidence, feature: str) -> float:
    """The largest difference in accuracy between the feature's groups in the period: what a reader comes for."""
    gaps = (m.value for rate in rates(evidence, feature) for m in evidence.of(f"{rate}.difference", feature=feature))
    return max((value for value in gaps if value is not None), default=0.0)


def _concerns(evidence: Evidence, alert: Alert, feature: str) -> bool:
    """Whether the figure that an alert's verdicts rest on is about this feature."""
    deciding = (
        v.evidence[0] for v in evidence.verdicts if v.key == alert.key and v.verdict is Word.FAIL and v.evidence
    )
    return any(evidence.by_id[one].attributes.get("feature") == feature for one in deciding if one in evidence.by_id)


def over_time(evidence: Evidence, feature: str, metric: str) -> None:
    alerts = [alert for alert in evidence.alerts if alert.kind == "bias" and _concerns(evidence, alert, feature)]
    limits = charts.limits_of(evidence.verdicts, evidence.by_id)
    gap = f"{metric}.difference"
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Groups over time")
        mine = [m for m in evidence.of(metric, feature=feature) if "group" in m.attributes and m.value is not None]
        chart = charts.trend(
            mine, evidence.span, label=lambda m: m.attributes["group"], alerts=alerts, zero=False, height=280
        )
        st.altair_chart(chart, width="stretch")
    with right:
        st.subheader("Largest difference over time")
        mine = evidence.of(gap, feature=feature)
        if mine:
            limit = limits.get(f"{gap}|{feature}")
            chart = charts.trend(
                mine, evidence.span, label=lambda m: "difference", alerts=alerts, limit=limit, height=280
            )
            st.altair_chart(chart, width="stretch")
        else:
            st.markdown("No difference was measured for this outcome.")
    st.caption(
        "Narrow bands: 95 % intervals. Red: windows of alerts about these groups; a control that looks back further stays "
        "open longer than the change itself. Dashed: the control's limit."
    )
    with st.expander("The figures of the last window"):
        show.figures([m for m in evidence.latest("fairness.", feature=feature) if m.metric.startswith(metric)])


main()
