"""Writes the reference pages that follow from the code: `python docs/generate.py` (with --check: exit 1 when stale)."""

from __future__ import annotations

import sys
from pathlib import Path

from auditor import registry
from auditor.core.record import MODALITIES

REFERENCE = Path(__file__).parent / "reference"

INTRODUCTION = """\
# Descriptors

A descriptor turns one payload into a few figures: that is all that leaves the model's process. This page follows from the
plugins (`python docs/generate.py`).

- The set of columns and the way each figure is computed are the describer's *version*, kept with every record
  (`image/1`); figures of different versions are never compared.
- A figure that cannot be computed for a payload is `null`, never 0: a grey image has no saturation, silence has no pitch.
  No figure is ever NaN or infinite. Figures carry 7 significant digits, tabular features all of theirs.
- What cannot be described at all (a bomb, a truncated file, a wrong type) is counted under a code and described by
  nothing: `wrong_type`, `bad_shape`, `bad_range`, `empty`, `not_finite`, `no_rate`, `bad_rate`, `not_found`, `too_large`,
  `truncated`, `decode_failed`, `extra_missing`.
- Work is bounded: large payloads are described from samples spread evenly over them. The payload is never changed.
- Text figures that need a lexicon are indicators of change, not judgements about one text.
- Units are UCUM; `1` is a share or a plain number.
"""


def descriptors_page() -> str:
    """The Markdown of `reference/descriptors.md`."""
    parts = [INTRODUCTION]
    for modality in MODALITIES:
        plugin = registry.load("descriptors", modality)
        summary = " ".join((type(plugin).__doc__ or "").split())
        parts.append(f"\n## {modality}\n\nVersion `{modality}/{plugin.version}`. {summary}\n")
        parts.append("\n| column | kind | unit | meaning |\n|---|---|---|---|\n")
        parts.extend(
            f"| `{column.name}` | {column.kind} | `{column.unit}` | {column.meaning} |\n" for column in plugin.columns
        )
    return "".join(parts)


PAGES = {"descriptors.md": descriptors_page}


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
