"""Records that are missing although nobody said so: sequence numbers against what the agents counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


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
