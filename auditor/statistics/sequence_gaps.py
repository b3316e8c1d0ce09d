"""What the agents declared against the records at rest: how many arrived, and how many are missing without a declared loss."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from auditor.core.record import CaptureTally
from auditor.core.rows import Ints, Rows
from auditor.core.window import Span, to_us

LOST_AFTER_DELIVERY = "lost_after_delivery"
"""Reason of calls that an agent delivered and that are not at rest."""


@dataclass(slots=True)
class DeclaredCounts:
    """What the tallies of one agent session declare of one hour.

    `seen` and `dropped` by model version; `sampled` is part of `dropped`. `last` is the highest sequence number that they
    cover (-1: none).
    """

    seen: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    last: int = -1

    def add(self, tally: CaptureTally) -> None:
        """Count one more; what the drain refused of a session is a loss, and declares nothing."""
        version = tally.model.version
        self.seen[version] += tally.seen
        self.dropped[version] += sum(tally.dropped.values())
        self.sampled[version] += tally.dropped.get("sampled", 0)
        if (tally.seen or tally.closed) and tally.last_seq is not None:
            self.last = max(self.last, tally.last_seq)


class Reconciled(NamedTuple):
    """Of one session, hour and version: calls declared and `at_rest`; `undeclared` ones; delivered ones that are `gone`."""

    at_rest: int = 0
    undeclared: int = 0
    gone: int = 0

    def plus(self, other: Reconciled) -> Reconciled:
        return Reconciled(*(one + two for one, two in zip(self, other, strict=True)))


NOTHING = Reconciled()


def reconcile_session(seq: Ints, version: Sequence[str], said: DeclaredCounts) -> dict[str, Reconciled]:
    """The records of one session and hour against what it declared, by model version.

    Records up to the last number that a tally covers are declared calls, at most as many as were seen and not sampled.
    Beyond it nobody has counted (the process ended, or its next tally is on its way): the records there, and each number
    that is skipped before the highest one, are undeclared calls.

    Parameters
    ----------
    seq : ndarray of int64, shape (n,)
        Sequence numbers at rest.
    version : sequence of str, length n
        Model version of each.

    Examples
    --------
    >>> reconcile_session(np.array([0, 1, 4]), ["1", "1", "1"], DeclaredCounts())
    {'1': Reconciled(at_rest=0, undeclared=5, gone=0)}
    >>> reconcile_session(np.array([0, 1]), ["1", "1"], DeclaredCounts(Counter({"1": 3}), last=9))
    {'1': Reconciled(at_rest=2, undeclared=0, gone=1)}
    """
    covered: Counter[str] = Counter()
    beyond: Counter[str] = Counter()
    inside = seq <= said.last
    for name, own in zip(version, inside.tolist(), strict=True):
        (covered if own else beyond)[name] += 1
    outside = np.unique(seq[~inside])
    if len(outside):
        first = said.last + 1 if said.last >= 0 else int(outside[0])
        beyond[version[int(np.argmax(seq))]] += int(outside[-1]) - first + 1 - len(outside)
    found = {}
    for name in sorted(covered.keys() | beyond.keys() | said.seen.keys()):
        owed = max(said.seen[name] - said.sampled[name], 0)
        at_rest = min(covered[name], owed)
        gone = max(owed - at_rest - (said.dropped[name] - said.sampled[name]), 0)
        entry = Reconciled(at_rest, covered[name] - at_rest + beyond[name], gone)
        if entry != NOTHING:
            found[name] = entry
    return found


def reconcile(
    rows: Rows, spans: Sequence[Span], counted: Mapping[tuple[int, str], Sequence[CaptureTally]]
) -> dict[tuple[int, str], Reconciled]:
    """All sessions' records against their tallies, by place of the span and version.

    `counted` holds the tallies by place of their span and version.
    """
    said: dict[tuple[int, str, int], DeclaredCounts] = defaultdict(DeclaredCounts)
    for (place, _), tallies in counted.items():
        for tally in tallies:
            said[place, tally.session, tally.fork].add(tally)
    found: dict[tuple[int, str], Reconciled] = defaultdict(Reconciled)
    none = np.empty(0, np.int64)
    at_rest = _sessions(rows, spans)
    for key in at_rest.keys() | said.keys():
        seq, versions = at_rest.get(key, (none, []))
        for version, entry in reconcile_session(seq, versions, said[key]).items():
            found[key[0], version] = found[key[0], version].plus(entry)
    return dict(found)


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
