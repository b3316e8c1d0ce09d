"""On one machine: one item after the other, or a pool of processes when asked for."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from auditor.core.errors import ConfigurationError

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Serial with `workers=1`; otherwise that many processes, started afresh (spawn), so that no lock is inherited.

    A pool pays once an item takes longer than the start of a process, about a second.
    """

    workers: int = 1

    def configure(self, *, workers: int = 1) -> LocalEngine:
        """The engine with that many processes."""
        if workers < 1:
            raise ConfigurationError("bad_workers", f"{workers} is not a number of workers", fix="give 1 or more")
        return replace(self, workers=workers)

    def map(self, function: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Results in the order of the items; an exception in one is raised when its turn comes.

        With several workers, `function` and the items must pickle.

        >>> list(LocalEngine().map(abs, [-1, 2]))
        [1, 2]
        """
        if self.workers == 1 or len(items) < 2:
            yield from map(function, items)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self.workers, len(items)), mp_context=context) as pool:
            yield from pool.map(function, items)


PLUGIN = LocalEngine()
