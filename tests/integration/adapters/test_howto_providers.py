"""The examples of the how-to pages run as they stand, against the provider on loopback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[3] / "docs" / "howto"
NEEDED = {
    "watch-openai-client": "openai",
    "watch-gemini-client": "google.genai",
    "watch-pyfunc": "pandas",
    "watch-asgi-app": "fastapi",
    "watch-rag-chain": "openai",
    "watch-a-closed-api": "openai",
}


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("page", NEEDED)
def test_the_example_runs(page: str, provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(NEEDED[page], reason=f"{NEEDED[page]} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", provider.url)
    monkeypatch.setenv("GEMINI_API_KEY", "none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    blocks = re.findall(r"^```python\n(.*?)^```", (PAGES / f"{page}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})
    assert list(tmp_path.glob("*-home/spool/*"))
