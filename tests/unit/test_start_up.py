"""What importing and asking for help may cost and may touch."""

import subprocess
import sys

import auditor

HEAVY = {
    "numpy",
    "pandas",
    "scipy",
    "pyarrow",
    "sqlalchemy",
    "evidently",
    "mlflow",
    "fairlearn",
    "codecarbon",
    "streamlit",
    "sklearn",
}


def test_help_loads_no_heavy_library() -> None:
    code = f"import sys; from auditor.cli import parser; parser(); print(sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"


def test_importing_touches_nothing() -> None:
    code = """
import sys, threading, logging
touched = []
sys.addaudithook(lambda event, args: touched.append((event, args[0])) if event in ("socket.connect", "socket.bind", "os.mkdir") or
                 event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+") else None)
before = list(logging.getLogger().handlers)
import auditor
auditor.Agent
assert threading.active_count() == 1
assert logging.getLogger().handlers == before and not logging.getLogger("auditor").handlers
assert not touched, touched
"""
    subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True)


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(auditor.__all__) == sorted(set(auditor.__all__))
    assert {"Agent"} <= set(auditor.__all__)
    for name in auditor.__all__:
        assert getattr(auditor, name) is not None
