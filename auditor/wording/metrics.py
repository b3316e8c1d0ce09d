"""Metrics, columns and series as a reader calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from auditor.core.catalogue import HEAD
from auditor.registry import vocabulary

_SUFFIXES = {
    "_hz": " (Hz)",
    "_db": " (dB)",
    "_dbfs": " (dBFS)",
    "_s": " (s)",
    "_p01": " (1st percentile)",
    "_p99": " (99th percentile)",
}
"""Of columns without a title of their own."""
_COMPONENT = re.compile(r"(output\.text\.)?embedding\.(?:c(\d+)|residual)")


def metric_name(metric: str) -> str:
    """What a reader calls the metric.

    >>> metric_name("fairness.accuracy.difference"), metric_name("quality.top_k")
    ('largest difference in accuracy between groups', 'top k')
    """
    spec = vocabulary().metric(metric)
    if spec is not None and spec.name == metric and spec.label:
        return spec.label
    return metric.partition(".")[2].replace("_", " ").replace(".", ", ") or metric


def column(name: str, modality: str = "") -> str:
    """A column as a reader calls it; `modality` is that of the input it belongs to.

    >>> column("snr_db"), column("brightness_p99"), column("output.entropy")
    ('signal-to-noise ratio (dB)', 'brightness (99th percentile)', 'entropy of the answer')
    >>> column("head.entropy", "audio"), column("head.scores.6")
    ("entropy of the model's audio head", "score 6 of the model's head")
    >>> column("embedding.c04"), column("embedding.residual")
    ('component 5 of the embedding', 'part of the embedding outside its components')
    """
    if title := _titles(modality).get(name):
        return title
    if name.startswith(HEAD):
        kind = f"{modality.replace('_', ' ')} head".lstrip()
        inner = name.removeprefix(HEAD).replace("scores.", "score ").replace("_", " ")
        return f"{inner} of the model's {kind}"
    if match := _COMPONENT.fullmatch(name):
        of = "the answer's embedding" if match[1] else "the embedding"
        return f"component {int(match[2]) + 1} of {of}" if match[2] else f"part of {of} outside its components"
    for suffix, said in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix).replace("_", " ") + said
    plain = name.replace("_", " ")
    return f"{plain.removeprefix('output.')} of the answer" if plain.startswith("output.") else plain


@cache
def _titles(modality: str) -> dict[str, str]:
    """Titles that descriptors gave their columns, by column; of all modalities, where none is named."""
    known = vocabulary().modalities
    plugins = [known[modality]] if modality in known else known.values()
    return {column.name: column.title for plugin in plugins for column in plugin.columns if column.title}


def column_of(attributes: Mapping[str, str]) -> str:
    """The column that a figure with these attributes is about; empty, when it is about none.

    >>> column_of({"column": "head.entropy", "input": "clip", "modality": "audio"})
    "entropy of the model's audio head"
    """
    return column(attributes.get("column", ""), attributes.get("modality", ""))


def subject(attributes: Mapping[str, str]) -> str:
    """Which series, in words: `brightness of photo`, `photo with clip`, `site = north`; empty for the whole model."""
    parts = []
    if "pair" in attributes:
        parts.append(attributes["pair"].replace("~", " with "))
    if "column" in attributes:
        of = "{} ({})" if attributes["column"].startswith(HEAD) else "{} of {}"
        name = column_of(attributes)
        parts.append(of.format(name, attributes["input"]) if "input" in attributes else name)
    elif "input" in attributes:
        parts.append(attributes["input"])
    if "feature" in attributes:
        group = f" = {attributes['group']}" if "group" in attributes else ""
        parts.append(attributes["feature"] + group)
    known = {"pair", "column", "input", "modality", "feature", "group"}
    parts += [f"{key} {value}" for key, value in sorted(attributes.items()) if key not in known]
    return ", ".join(parts)


def subject_name(attributes: Mapping[str, str], metric: str) -> str:
    """What a figure is about, in a few words: its column, component, pair or feature, else the metric, if one is given.

    >>> subject_name({"pair": "photo~clip", "column": "cosine"}, ""), subject_name({}, "drift.psi")
    ('the agreement of photo and clip', 'population stability index')
    """
    pair = " and ".join(attributes.get("pair", "").split("~"))
    if pair and "column" in attributes:
        return f"the agreement of {pair}"
    name = column_of(attributes) or attributes.get("component", "").replace("_", " ")
    return name or pair or attributes.get("feature", "") or (metric_name(metric) if metric else "")
