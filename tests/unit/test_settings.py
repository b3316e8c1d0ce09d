"""Settings: one frozen object from auditor.toml and AUDITOR_* variables; unknown keys are refused in one sentence."""

from pathlib import Path

import pytest

from auditor.core.errors import ConfigurationError
from auditor.settings import FILE, find_home, load_settings, read_settings


def home(tmp_path: Path, text: str) -> Path:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    return tmp_path


def test_defaults_need_no_file() -> None:
    settings = read_settings(None, {})
    assert settings.audit.window == "1d"
    assert settings.sinks.enabled == ("jsonl",)


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    folder = home(tmp_path, '[audit]\nwindow = "6h"\nmin_group = 5\n[service]\nport = 9000\n')
    settings = load_settings(
        folder,
        {"AUDITOR_AUDIT_WINDOW": "12h", "AUDITOR_MLFLOW_ENABLED": "no", "AUDITOR_SINKS_ENABLED": "jsonl, webhook"},
    )
    assert settings.audit.window == "12h"
    assert settings.audit.min_group == 5
    assert settings.service.port == 9000
    assert settings.mlflow.enabled is False
    assert settings.sinks.enabled == ("jsonl", "webhook")
    assert settings.store_url == f"sqlite:///{folder}/store/auditor.db"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[audits]\n", "unknown_setting"),
        ("[audit]\nwidow = '1d'\n", "unknown_setting"),
        ("[audit]\nmin_group = 'many'\n", "bad_setting"),
        ("[mlflow]\nenabled = 'perhaps'\n", "bad_setting"),
        ("[store]\nurl = 3\n", "bad_setting"),
        ("audit = 3\n", "bad_settings"),
        ("[audit\n", "bad_settings"),
    ],
)
def test_a_bad_file_is_one_clear_sentence(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(home(tmp_path, text), {})
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.line()
    assert caught.value.fix


@pytest.mark.parametrize("window", ["7h", "90m", "36h", "0h"])
def test_a_window_must_fit_days(tmp_path: Path, window: str) -> None:
    settings = load_settings(home(tmp_path, f"[audit]\nwindow = '{window}'\n"), {})
    with pytest.raises(ConfigurationError) as caught:
        _ = settings.audit.step
    assert caught.value.code == "bad_window"


def test_the_home_is_given_or_named_or_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home(tmp_path, "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_home(None, {}) == tmp_path
    assert find_home(None, {"AUDITOR_HOME": "/elsewhere"}) == Path("/elsewhere")
    assert find_home(below, {"AUDITOR_HOME": "/elsewhere"}) == below
    with pytest.raises(ConfigurationError) as caught:
        load_settings(below, {})
    assert caught.value.code == "no_home"


def test_the_digest_sees_settings_but_no_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert load_settings(home(one, ""), {}).digest == load_settings(home(two, ""), {}).digest
    assert load_settings(one, {"AUDITOR_ENERGY_PUE": "1.4"}).digest != load_settings(one, {}).digest


def test_what_is_declared_about_a_model(tmp_path: Path) -> None:
    file = tmp_path / "auditor.toml"
    file.write_text(
        '[models.triage]\npositive = "approved"\nslices = ["scanner", "site"]\nowner = "imaging@example.org"\n'
    )
    settings = load_settings(tmp_path, {})
    assert settings.model("triage").slices == ("scanner", "site")
    assert (settings.model("triage").positive, settings.model("triage").owner) == ("approved", "imaging@example.org")
    assert settings.model("another").slices == ()
    before = settings.digest
    for broken in ('[models.triage]\nslice = ["a"]\n', "[models]\ntriage = 3\n", "models = 3\n"):
        file.write_text(broken)
        with pytest.raises(ConfigurationError):
            load_settings(tmp_path, {})
    file.write_text("")
    assert load_settings(tmp_path, {}).digest != before
