"""The how-to pages of networks are tests: their Python runs as written, in an empty folder with the models they name."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[3] / "docs" / "howto"
torch = pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Any]:
    monkeypatch.chdir(tmp_path)

    def page(name: str) -> Any:
        text = (PAGES / name).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.S))
        exec(compile(code, name, "exec"), {"__name__": "howto"})
        said = capsys.readouterr().out
        assert (tmp_path / "home" / "spool").is_dir()
        return eval(said.strip().splitlines()[-1])

    return page


def balanced(stats: dict[str, Any], described: int) -> None:
    assert stats["seen"] == stats["described"] == stats["delivered"] == described
    assert not stats["dropped"]
    assert not stats["internal_errors"]


def test_torch(run: Callable[[str], Any]) -> None:
    balanced(run("watch-torch-models.md"), 6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras(run: Callable[[str], Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras", reason="keras is not installed")
    balanced(run("watch-keras-models.md"), 41)


def test_transformers(run: Callable[[str], Any]) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed").logging.set_verbosity_error()
    import tiny_models as tiny

    model, processor = tiny.clip()
    model.save_pretrained("your-clip")
    processor.save_pretrained("your-clip")
    balanced(run("watch-transformers-models.md"), 5)


def test_diffusers(run: Callable[[str], Any]) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("diffusers", reason="diffusers is not installed").utils.logging.set_verbosity_error()
    import tiny_models as tiny

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the tiny scheduler's defaults are old
        tiny.stable_diffusion().save_pretrained("your-diffusion-model")
        balanced(run("watch-diffusers-models.md"), 5)
