"""The share of calls that is described follows traffic and cost."""

from __future__ import annotations

from auditor.agent.budget import Budget


def simulate(calls_per_s: float, cost_s: float, seconds: int, share: float = 0.02) -> tuple[Budget, float]:
    """CPU share spent in the second half of a simulated run."""
    budget = Budget(share)
    spent = 0.0
    for tick in range(seconds * 5):
        described = calls_per_s / 5 * budget.rate
        for _ in range(round(described)):
            budget.spend(cost_s)
        if tick >= seconds * 5 // 2:
            spent += round(described) * cost_s
        budget.step(round(calls_per_s / 5), 0.2, 0.0)
    return budget, spent / (seconds / 2)


def test_little_traffic_is_described_whole() -> None:
    budget, spent = simulate(10, 0.0005, 60)
    assert budget.rate == 1.0
    assert spent < 0.02


def test_heavy_traffic_stays_within_the_share() -> None:
    budget, spent = simulate(2000, 0.0005, 120)
    assert 0.008 < spent <= 0.022
    assert budget.rate < 0.03


def test_the_rate_recovers_when_traffic_ceases_but_not_at_once() -> None:
    budget, _ = simulate(2000, 0.0005, 60)
    low = budget.rate
    budget.step(0, 0.2, 0.0)
    assert budget.rate <= 2 * low
    for _ in range(200):
        budget.step(0, 0.2, 0.0)
    assert budget.rate == 1.0


def test_a_backlog_halves_the_rate() -> None:
    calm, pressed = Budget(0.02), Budget(0.02)
    calm.step(10, 0.2, 0.0)
    pressed.step(10, 0.2, 0.9)
    assert pressed.rate == calm.rate / 2
