"""Which share of calls is described, so that describing stays within its share of one core."""

from __future__ import annotations

_FLOOR = 1e-4
_SMOOTHING = 0.3
_BURST_S = 0.5
"""CPU seconds that may be spent at once, before the share counts."""


class Budget:
    """Follows traffic and cost, and says the rate: `share / (cost x calls per second)`, at most 1.

    The rate depends on how many calls there are and what describing one costs, never on what is in them. It falls at
    once and doubles at most per step, so that a pause in traffic is not answered by a burst.

    Parameters
    ----------
    share : float
        Of one core, `[agent] cpu_share`.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.rate = 1.0
        self.cost_s = 0.0
        self.credit_s = _BURST_S
        self._calls = 0.0
        self._owed_s = 0.0

    def owe(self, cpu_s: float) -> None:
        """The record that is being described took so much CPU in other threads than the agent's own."""
        self._owed_s += cpu_s

    def spend(self, cpu_s: float) -> None:
        """Describing one record took so much CPU, and what is owed."""
        cpu_s += self._owed_s
        self._owed_s = 0.0
        self.cost_s = cpu_s if self.cost_s == 0.0 else self.cost_s + 0.05 * (cpu_s - self.cost_s)
        self.credit_s -= cpu_s

    def step(self, calls: int, elapsed_s: float, backlog: float) -> float:
        """The new rate after `elapsed_s` in which `calls` were seen; `backlog` is the share of the queue in use."""
        self.credit_s = min(_BURST_S, self.credit_s + self.share * elapsed_s)
        self._calls += _SMOOTHING * (calls / elapsed_s - self._calls)
        pace = max(self._calls, calls / elapsed_s)
        wanted = 1.0 if pace * self.cost_s <= self.share else self.share / (pace * self.cost_s)
        if self.credit_s < 0.0 or backlog > 0.5:
            wanted *= 0.5
        self.rate = max(_FLOOR, min(wanted, 2.0 * self.rate, 1.0))
        return self.rate

    @property
    def exhausted(self) -> bool:
        """Whether describing has to wait for its share."""
        return self.credit_s < 0.0
