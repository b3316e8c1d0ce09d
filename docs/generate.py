"""Writes the reference pages that follow from the code: `python docs/generate.py` (with --check: exit 1 when stale)."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import MISSING, fields
from inspect import getsource
from pathlib import Path
from typing import get_type_hints

from auditor import registry
from auditor.cli import parser
from auditor.core.catalogue import REASONS
from auditor.settings import ModelSettings, Settings

REFERENCE = Path(__file__).parent / "reference"

INTRODUCTION = """\
# Descriptors

A descriptor turns one payload into a few figures: that is all that leaves the model's process. This page follows from the
plugins (`python docs/generate.py`).

- The set of columns and the way each figure is computed are the describer's *version*, kept with every record
  (`image/2`); figures of different versions are never compared. A library that changes figures stands in the version where it
  is installed (`text/2+lingua`), so that hosts with and without it are not mixed unnoticed.
- A figure that cannot be computed for a payload is `null`, never 0: a grey image has no saturation, silence has no pitch.
  No figure is ever NaN or infinite. Figures carry 7 significant digits, tabular features all of theirs.
- What cannot be described at all (a bomb, a truncated file, a wrong type) is counted under a code and described by
  nothing: `wrong_type`, `bad_shape`, `bad_range`, `empty`, `not_finite`, `no_rate`, `bad_rate`, `not_found`, `too_large`,
  `truncated`, `decode_failed`, `extra_missing`.
- Work is bounded: large payloads are described from samples spread evenly over them. The payload is never changed.
- Text figures that need a lexicon are indicators of change, not judgements about one text.
- Units are UCUM; `1` is a share or a plain number.
"""


REFERENCES = {
    "image": "OpenCV and scikit-image on 100 photos",
    "audio": "librosa, pyloudnorm and planted noise on spoken digits",
    "series": "SciPy and NumPy on generated series",
}
SENSITIVITY = """
Last columns: correlation with the reference ({reference}) and mean difference from it, by `benchmarks/descriptors_truth.py`; and the
damage that moves the figure most, with its mean shift in standard deviations of clean payloads when slight, middle and strong, by
`benchmarks/corruptions.py`.
"""


def measured(name: str) -> dict:
    """What a benchmark kept, or nothing."""
    path = Path(__file__).parents[1] / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["results"] if path.is_file() else {}


def evidence(truth: dict, moved: dict, column: str) -> str:
    """Cells of a column: agreement with its reference, and what moves it most."""
    agreement = next((figures for name, figures in truth.items() if name.split(" ")[0] == column), None)
    cells = f"r = {agreement['r']}, {agreement['bias']:+g} of {agreement['mean']:g}" if agreement else ""
    shifts = moved.get(column, {})
    most = max(shifts, key=lambda name: abs(shifts[name][2]), default=None)
    return f"{cells} | {f'{most}: ' + ', '.join(f'{step:+g}' for step in shifts[most]) if most else ''} |"


def descriptors_page() -> str:
    """The Markdown of `reference/descriptors.md`."""
    truth, sensitivity = measured("descriptors_truth"), measured("corruptions").get("sensitivity", {})
    parts = [INTRODUCTION]
    for modality in registry.modalities():
        plugin = registry.load("descriptors", modality)
        summary = " ".join((type(plugin).__doc__ or "").split())
        parts.append(
            f"\n## {modality}\n\n{plugin.title}; version `{modality}/{plugin.version.split('+')[0]}`. {summary}\n"
        )
        parts.append(f"\nAlert: {plugin.headline}. Advice: {plugin.advice}\n")
        known = modality in sensitivity or modality in REFERENCES
        if known:
            parts.append(SENSITIVITY.format(reference=REFERENCES.get(modality, "labelled texts, below")))
        parts.append(f"\n| column | kind | unit | meaning |{' reference | moved most by |' if known else ''}\n")
        parts.append(f"|---|---|---|---|{'---|---|' if known else ''}\n")
        moved = sensitivity.get(modality, {})
        against = truth.get(modality, {}) if modality in REFERENCES else {}
        parts.extend(
            f"| `{column.name}` | {column.kind} | `{column.unit}` | {column.meaning} |"
            + (f" {evidence(against, moved, column.name)}\n" if known else "\n")
            for column in plugin.columns
        )
        if modality == "text" and "text" in truth:
            parts.append(
                "\nOn labelled texts of our own (`tests/data/labelled_texts.toml`), which were at hand while the patterns were made and are an upper "
                "bound:\n\n| figure | result |\n|---|---|\n"
            )
            parts.extend(
                f"| {name} | {', '.join(f'{key} {figure:g}' for key, figure in figures.items())} |\n"
                for name, figures in truth["text"].items()
            )
    return "".join(parts)


METRICS = """\
# Metrics

Every figure is a measurement: a metric of this catalogue, a value or the reason why there is none, its unit (UCUM), n, an interval or
a p-value where there is one, and attributes that tell series of one metric apart. This page follows from the code
(`python docs/generate.py`); `auditor plugins --json` prints the same for what is installed.

A p-value is that of "nothing changed since the baseline" (drift, missing inputs, accuracy) or of "no difference between groups"
(gaps), unadjusted: the policy's budget decides what it takes to page.
"""


def metrics_page() -> str:
    """The Markdown of `reference/metrics.md`."""
    parts = [METRICS]
    family = ""
    for name, spec in sorted(registry.catalogue().items()):
        if name.split(".")[0] != family:
            family = name.split(".")[0]
            parts.append(f"\n## {family}\n\n")
            parts.append(
                "| metric | unit | attributes | worse | alert | in sentences | meaning |\n|---|---|---|---|---|---|---|\n"
            )
        attributes = ", ".join(f"`{key}`" for key in spec.attributes)
        parts.append(
            f"| `{name}` | `{spec.unit}` | {attributes} | {spec.worse} | {spec.alert} | {spec.label} | {spec.meaning} |\n"
        )
    parts.append("\n## Figures of change in plain words\n\nReports and dashboard add what the value at hand says.\n\n")
    compared = [spec.compares for spec in registry.catalogue().values() if spec.compares]
    parts.extend(f"- {text}\n" for text in dict.fromkeys(compared))
    parts.append("\n## Why a number is absent\n\n| reason | meaning |\n|---|---|\n")
    parts.extend(f"| `{code}` | {meaning} |\n" for code, meaning in sorted(REASONS.items()))
    return "".join(parts)


COMMANDS = """\
# Commands

Exit codes: 0 ok; 1 a finding (an alert is open, a rule failed, rows were refused, something was damaged and set aside); 2 could not run,
with one line `error[code]: what; where; what to do` on stderr. `--json` prints one JSON document. This page follows from the
code (`python docs/generate.py`).
"""


def commands_page() -> str:
    """The Markdown of `reference/commands.md`."""
    parts = [COMMANDS]
    for name, command, summary in _commands(parser(), "auditor"):
        parts.append(f"\n## `{name}`\n\n{summary[:1].upper()}{summary[1:]}.\n\n")
        for action in command._actions:
            if action.dest == "help" or isinstance(action, argparse._SubParsersAction):
                continue
            label = ", ".join(action.option_strings) or action.metavar or action.dest
            if action.option_strings and action.nargs != 0:
                label += (
                    f" {action.metavar or action.dest.upper()}"
                    if not action.choices
                    else f" {'|'.join(map(str, action.choices))}"
                )
            required = " (required)" if action.required and action.option_strings else ""
            parts.append(f"- `{label}`{required}{': ' + action.help if action.help else ''}\n")
    return "".join(parts)


def _commands(
    command: argparse.ArgumentParser, name: str, summary: str = ""
) -> list[tuple[str, argparse.ArgumentParser, str]]:
    groups = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        return [(name, command, summary)]
    help_of = {choice.dest: choice.help or "" for choice in groups[0]._choices_actions}
    found = []
    for word, child in groups[0].choices.items():
        found += _commands(child, f"{name} {word}", help_of.get(word, summary))
    return found


SETTINGS = """\
# Settings

`auditor.toml` in the home; each key can also be set as `AUDITOR_<SECTION>_<KEY>`, an option of a plugin as
`AUDITOR_<SECTION>_<PLUGIN>_<OPTION>`. Unknown keys are refused. This page follows from the
code (`python docs/generate.py`).
"""


def settings_page() -> str:
    """The Markdown of `reference/settings.md`."""
    parts = [SETTINGS]
    hints = get_type_hints(Settings)
    for section in fields(Settings):
        if section.name in ("home", "metrics", "environ"):
            continue
        kind, title = hints[section.name], section.metadata.get("section", section.name)
        if section.name == "models":
            kind, title = ModelSettings, "models.NAME"
        parts.append(
            f"\n## [{title}]\n\n{(kind.__doc__ or '').split(': ', 1)[-1]}\n\n| key | default | |\n|---|---|---|\n"
        )
        meanings = _meanings(kind)
        for item in fields(kind):
            if item.name == "options":
                continue
            default = (
                ""
                if item.default is MISSING
                else repr(list(item.default) if isinstance(item.default, tuple) else item.default)
            )
            parts.append(f"| `{item.name}` | `{default}` | {meanings.get(item.name, '')} |\n")
        if section.name in registry.KINDS:
            for name, options in registry.options(section.name).items():
                parts.append(f"\n### [{section.name}.{name}]\n\n| option | default | |\n|---|---|---|\n")
                parts.extend(
                    f"| `{item.name}` | {'required' if item.required else f'`{item.default!r}`'} | {item.help} |\n"
                    for item in options
                )
    return "".join(parts)


def _meanings(kind: type) -> dict[str, str]:
    """The docstring below each field of a dataclass."""
    found: dict[str, str] = {}
    last = ""
    for line in getsource(kind).split("\n"):
        text = line.strip()
        if text.startswith('"""') and last:
            found[last] = text.strip('"')
        last = text.split(":")[0] if ": " in text and not text.startswith(('"', "def", "return")) else ""
    return found


PAGES = {
    "commands.md": commands_page,
    "descriptors.md": descriptors_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
}


def stale() -> list[str]:
    """Names of pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text(encoding="utf-8") != page()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or only say which are stale."""
    names = stale()
    if "--check" in arguments:
        print("\n".join(f"stale: {name}" for name in names) or "fresh")
        return 1 if names else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in names:
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
