"""The dashboard: what is wrong first, what is not known always, every figure with its doubt.

Started by `auditor dashboard`; reads the store through `ports.Queries` and writes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # Streamlit puts the folder of app.py on the path only when it runs it itself
    sys.path.insert(0, str(HERE))

PAGES = {
    "overview": "Overview",
    "drift": "Drift",
    "fairness": "Fairness",
    "energy": "Energy",
    "compliance": "Compliance",
}


def main() -> None:
    """Lay out the pages and run the chosen one."""
    st.set_page_config(page_title="auditor", page_icon=str(HERE / "icon.png"), layout="wide")
    st.html("<style>[data-testid=stMainBlockContainer] {padding-top: 2.6rem; padding-bottom: 3rem;}</style>")
    st.logo(str(HERE / "logo.png"), size="large")
    pages = [
        st.Page(HERE / "pages" / f"{name}.py", title=title, url_path=name, default=name == "overview")
        for name, title in PAGES.items()
    ]
    st.navigation(pages).run()


main()
