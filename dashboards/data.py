"""What the pages read: one cached look at the store for each model and period. Nothing here writes."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import show
import streamlit as st

from auditor.core.errors import AuditorError
from auditor.core.identity import slug
from auditor.core.window import DAY, Span
from auditor.ports import ModelSummary, Queries
from auditor.reports import compliance, drift, energy, fairness
from auditor.reports.evidence import Evidence, gather
from auditor.reports.render import render
from auditor.reports.rules import Rules
from auditor.settings import Home, find_home, load_settings
from auditor.store.queries import open_queries

REPORTS = {"drift": drift.tell, "fairness": fairness.tell, "energy": energy.tell, "compliance": compliance.tell}
FRESH_S = 20.0
"""How long a look at the store is shown again before it is taken anew."""
PERIODS: dict[str, timedelta | None] = {
    "Last 7 days": 7 * DAY,
    "Last 28 days": 28 * DAY,
    "Last 90 days": 90 * DAY,
    "Everything": None,
}


def home() -> Path | None:
    """The home this dashboard was started for."""
    return find_home()


def store_url() -> str:
    """Where to read: AUDITOR_DASHBOARD_URL, else the store of the home; AuditorError when there is neither."""
    return os.environ.get("AUDITOR_DASHBOARD_URL") or load_settings(_home_or_fail()).store_url


def _home_or_fail() -> Path:
    found = home()
    if found is None:
        from auditor.settings import no_home

        raise no_home()
    return found


@st.cache_resource(max_entries=4)
def _queries(url: str) -> Queries:
    return open_queries(url)


@st.cache_resource(ttl=FRESH_S, max_entries=8)
def models(url: str) -> list[ModelSummary]:
    """Models in the store, by name."""
    return sorted(_queries(url).models(), key=lambda item: item.name)


@st.cache_resource(ttl=FRESH_S, max_entries=32)
def audited(url: str, model: str) -> Span | None:
    """From the first audited window to the last."""
    runs = _queries(url).runs(model)
    return Span(runs[0].span.start, runs[-1].span.end) if runs else None


@st.cache_resource(ttl=FRESH_S, max_entries=16, show_spinner="Reading the store")
def evidence(url: str, model: str, span: Span) -> Evidence:
    """Everything stored about the model in the span; shared by all pages, never changed."""
    return gather(_queries(url), model, span, rules(url))


@st.cache_resource(ttl=300, max_entries=4, show_spinner="Reading the policies")
def rules(url: str) -> Rules:
    """The policies in force in the home, for their words; empty where there is no home or they cannot be read."""
    if home() is None:
        return Rules()
    from auditor.bootstrap import load_policies

    try:
        return Rules(load_policies(load_settings(home())))
    except AuditorError as error:
        st.session_state["policy_error"] = str(error)
        return Rules()


@st.cache_data(ttl=FRESH_S, max_entries=16, show_spinner=False)
def report_html(url: str, kind: str, model: str, start: datetime, end: datetime) -> str:
    """A report as HTML, for download."""
    told = REPORTS[kind](evidence(url, model, Span(start, end)), generated=datetime.now(UTC).replace(microsecond=0))
    return render(told, "html")


def download(label: str, kind: str, about: Evidence) -> None:
    """A button that saves a report about what the page shows."""
    url = store_url()
    st.download_button(
        label,
        data=report_html(url, kind, about.model, about.span.start, about.span.end),
        file_name=f"{kind}-{slug(about.model)}.html",
        mime="text/html",
        on_click="ignore",
        key=f"download-{kind}",
    )


def artifact_file(filename: str) -> Path | None:
    """The file of an artifact, when it lies in this home."""
    found = home()
    path = Home(found).artifacts / filename if found is not None else None
    return path if path is not None and path.is_file() else None


def forget() -> None:
    """Look again at the next reading."""
    for cached in (models, audited, evidence):
        cached.clear()


def choose() -> Evidence | None:
    """The model and period that the sidebar names; None (with a note of what to do) when there is nothing to show."""
    try:
        url = store_url()
        known = models(url)
    except AuditorError as error:
        if error.code in ("no_home", "no_store"):
            _nothing(error.code, str(error))
        else:
            st.title("The store cannot be read")
            st.error(show.code_as_is(str(error)))
            st.caption(f"Reason code: {error.code}")
        return None
    if not known:
        _nothing("no_model", "No model has sent a record to this home yet.")
        return None
    with st.sidebar:
        names = [item.name for item in known]
        name = st.selectbox("Model", names, key="model")
        period = st.selectbox("Period", list(PERIODS), index=1, key="period")
        st.button("Read again", on_click=forget, width="stretch", help="The store is read again after 20 s by itself.")
        st.caption("All times are UTC. A window is named by the day it covers.")
    whole = audited(url, name)
    if whole is None:
        _nothing(
            "not_audited",
            f"{name} has records, but no window was audited yet.",
            f"auditor audit --model {shlex.quote(name)}",
        )
        return None
    back = PERIODS[period]
    span = whole if back is None else Span(max(whole.start, whole.end - back), whole.end)
    found = evidence(url, name, span)
    if "policy_error" in st.session_state:
        st.warning(f"The policies in force cannot be read: {show.safe(st.session_state['policy_error'])}")
    return found


def _nothing(code: str, text: str, command: str = "auditor demo") -> None:
    st.title("Nothing to show yet")
    st.markdown(show.safe(text))
    where = home()
    st.write("Run this, then press *Read again* or reload:")
    option = (
        f" --home {shlex.quote(str(where))}"
        if where is not None and code in ("no_model", "not_audited", "no_store")
        else ""
    )
    st.code(command + option, language="bash")
    st.caption(f"Reason code: {code}")
