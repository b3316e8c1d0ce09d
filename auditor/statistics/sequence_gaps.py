"""Records that are missing although nobody said so: sequence numbers against what the agents counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from auditor.core.record import CaptureTally
from auditor.core.rows import Ints, Rows
from auditor.core.window import Span, to_us


class Said(NamedTuple):
    """What the tallies of one agent session say of one hour.

    `delivered` by model version; `last` is the highest sequence number that they own up to (-1: not said).
    """

    delivered: Mapping[str, int]
    last: int


def undeclared(seq: Ints, version: Sequence[str], said: Said | None) -> dict[str, int]:
    """How many records of one session and hour are missing without a tally that owns up to them, by model version.

    Up to the last number that a tally knows, the tally says how many were delivered: fewer at rest are a loss. Beyond it
    nobody has counted (the process was killed): each number that is skipped before the highest one at rest is missing,
    whether it was lost or left out by sampling. Losses after the highest number leave no trace here.

    Parameters
    ----------
    seq : ndarray of int64, shape (n,)
        Sequence numbers at rest.
    version : sequence of str, length n
        Model version of each.
    said : Said, optional
        None: no tally of the session speaks of the hour.

    Examples
    --------
    >>> undeclared(np.array([0, 1, 4]), ["1", "1", "1"], None)
    {'1': 2}
    >>> undeclared(np.array([0, 1, 4]), ["1", "1", "1"], Said({"1": 3}, 9))
    {}
    >>> undeclared(np.array([0, 1]), ["1", "1"], Said({"1": 3}, 9))
    {'1': 1}
    """
    found: dict[str, int] = defaultdict(int)
    last = said.last if said is not None else -1
    if last < 0 and len(seq):
        last = int(seq.min()) - 1
    owned = seq <= last
    at_rest: dict[str, int] = defaultdict(int)
    for name, own in zip(version, owned.tolist(), strict=True):
        at_rest[name] += own
    for name, delivered in (said.delivered if said is not None else {}).items():
        found[name] += max(delivered - at_rest[name], 0)
    beyond = np.unique(seq[~owned])
    if len(beyond):
        skipped = int(beyond[-1]) - last - len(beyond)
        found[version[int(np.argmax(seq))]] += skipped
    return {name: count for name, count in found.items() if count}


def undeclared_by_span(
    rows: Rows, spans: Sequence[Span], counted: Mapping[tuple[int, str], Sequence[CaptureTally]]
) -> dict[tuple[int, str], int]:
    """Records that are missing without a tally that owns up to them, by place of the span and version.

    `counted` holds the tallies by place of their span and version.
    """
    said: dict[tuple[int, str, int], Said] = {}
    for (place, version), tallies in counted.items():
        for tally in tallies:
            key = place, tally.session, tally.fork
            delivered, last = said.get(key, Said({}, -1))
            count = delivered.get(version, 0) + tally.delivered
            said[key] = Said({**delivered, version: count}, max(last, -1 if tally.last_seq is None else tally.last_seq))
    found: dict[tuple[int, str], int] = defaultdict(int)
    none = np.empty(0, np.int64)
    at_rest = _sessions(rows, spans)
    for key in at_rest.keys() | said.keys():
        seq, versions = at_rest.get(key, (none, []))
        for version, count in undeclared(seq, versions, said.get(key)).items():
            found[key[0], version] += count
    return found


def _sessions(rows: Rows, spans: Sequence[Span]) -> dict[tuple[int, str, int], tuple[Ints, list[str]]]:
    """Sequence numbers and versions of the rows, by place of the span, session and generation of its process."""
    if rows.session is None or rows.fork is None or rows.seq is None:
        return {}
    place = np.searchsorted(np.array([to_us(span.start) for span in spans], np.int64), rows.time_us, side="right") - 1
    ends = np.array([to_us(span.end) for span in spans], np.int64)
    inside = np.flatnonzero((place >= 0) & (rows.time_us < ends[place]) & (rows.seq >= 0))
    sessions = rows.session[inside].tolist()
    names = list(dict.fromkeys(sessions))
    places = {name: index for index, name in enumerate(names)}
    code = np.fromiter(map(places.__getitem__, sessions), np.int64, len(inside))
    keys = np.stack([place[inside], code, rows.fork[inside]])
    order = np.lexsort(keys[::-1])
    inside, keys = inside[order], keys[:, order]
    edges = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
    return {
        (int(keys[0, start]), names[keys[1, start]], int(keys[2, start])): (
            rows.seq[group],
            rows.version[group].tolist(),
        )
        for start, group in zip([0, *edges.tolist()], np.split(inside, edges), strict=True)
        if len(group)
    }
