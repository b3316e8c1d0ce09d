"""Plugins are found by file name without being imported, and clash loudly."""

import subprocess
import sys
from pathlib import Path

import pytest

from auditor import registry
from auditor.core.errors import PluginError

HEAVY = ("evidently", "mlflow", "fairlearn", "codecarbon", "streamlit", "pandas", "sklearn", "torch")


def test_listing_imports_no_plugin() -> None:
    code = (
        "import sys; from auditor import registry; print([registry.names(kind) for kind in registry.KINDS]);"
        f"assert not [m for m in {HEAVY} if m in sys.modules]; assert 'auditor.drift.evidently' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_plugin_is_called_like_its_file(kind: str) -> None:
    folder = Path(registry.__file__).parent / ("policy/operators" if kind == "operators" else kind)
    files = {path.stem for path in folder.glob("*.py") if "\nPLUGIN" in path.read_text(encoding="utf-8")}
    assert files
    assert files <= set(registry.names(kind))


@pytest.mark.parametrize(
    ("kind", "name", "code"), [("drift", "nonsense", "unknown_plugin"), ("magic", "x", "unknown_kind")]
)
def test_an_unknown_plugin_says_what_there_is(kind: str, name: str, code: str) -> None:
    with pytest.raises(PluginError) as caught:
        registry.load(kind, name)
    assert caught.value.code == code
    assert caught.value.fix.startswith("one of ")


def test_the_catalogue_holds_the_contract() -> None:
    names = set(registry.catalogue())
    assert {
        "drift.ks",
        "drift.psi",
        "drift.jensen_shannon",
        "drift.wasserstein",
        "input.missing_rate",
        "alignment.concordance",
        "fairness.accuracy",
        "fairness.accuracy.difference",
        "quality.accuracy",
        "labels.coverage",
        "labels.delay_p50",
        "energy.active",
        "energy.idle",
        "energy.per_inference",
        "carbon.emitted",
        "carbon.sci",
        "latency.p50",
        "latency.p95",
        "capture.seen",
        "capture.described",
        "capture.dropped",
        "capture.coverage",
    } <= names


def test_a_missing_library_fails_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fairlearn", None)
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    monkeypatch.delitem(sys.modules, "auditor.fairness.metric_frame", raising=False)
    assert "metric_frame" in registry.names("fairness")
