"""Documents tell the truth: what they name exists, what exists is named."""

import re
import tomllib
from pathlib import Path

import pytest

from auditor import __version__, registry
from auditor.cli import parser

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def commands() -> set[str]:
    actions = [action for action in parser()._actions if action.dest not in ("help", "version")]
    return set(actions[-1].choices)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_pages_name_exist(page: Path) -> None:
    known = commands()
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", text, flags=re.S))
    for command in re.findall(r"`auditor ([a-z]+)", text) + re.findall(r"^auditor ([a-z]+)", blocks, flags=re.M):
        assert command in known, f"{page}: auditor {command}"


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for command in commands():
        assert f"auditor {command}" in text, command


def test_every_metric_and_plugin_kind_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    for name, spec in registry.catalogue().items():
        assert f"`{name}`" in page, name
        assert spec.meaning, name


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"[{__version__}]" in text or "[Unreleased]" in text


def test_the_constraints_hold_versions_only_and_cover_what_is_required() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
    names = set()
    for line in filter(None, lines):
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line), line
        names.add(re.sub(r"[-_.]+", "-", line.split("==")[0]).lower())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += [entry for entry in extra if not entry.startswith("auditor[")]
    for entry in wanted:
        name = re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ]", entry)[0]).lower()
        assert name in names, name


def test_the_architecture_page_names_files_and_rooms_that_exist() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    walked = re.findall(r"^\d+\. `([^`]+)`", page, flags=re.M)
    assert 0 < len(walked) <= 25
    for path in walked:
        assert (ROOT / path).is_file(), path
    layers = re.search(r"```\ncli \| dashboards\n(.*?)```", page, flags=re.S)
    assert layers is not None
    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]
    shown = [set(re.split(r"\s*\|\s*", line)) for line in layers[1].splitlines()]
    assert shown == [set(re.split(r"\s*\|\s*", line)) for line in held["layers"] if line not in ("__main__", "cli")]
