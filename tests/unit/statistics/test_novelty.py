"""How many new answers chance brings: against counting every choice, Good's estimator, and simulated false alarms."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.novelty import novelty, novelty_p, sum_p


def every_choice(pool: list[str], n: int) -> list[int]:
    """New answers, for each way to choose the window's n among all."""
    found = []
    for chosen in combinations(range(len(pool)), n):
        then = {pool[i] for i in range(len(pool)) if i not in chosen}
        found.append(sum(pool[i] not in then for i in chosen))
    return found


@pytest.mark.parametrize(("now", "then"), [("aab", "aaccd"), ("abc", "defgh"), ("aaa", "aaaa"), ("b", "aabcd")])
def test_expectation_and_bound_against_every_choice(now: str, then: str) -> None:
    found = novelty(Counter(now), Counter(then))
    exact = every_choice(list(now + then), len(now))
    assert found.expected == pytest.approx(np.mean(exact))
    tail = np.mean([k >= found.k for k in exact])
    assert tail <= novelty_p([found]) + 1e-9


def test_one_answer_is_new_as_often_as_good_says() -> None:
    then = Counter("aaabbcdeff")
    found = novelty(Counter("a"), then)
    once = sum(count == 1 for count in (then + Counter("a")).values())
    assert found.expected == pytest.approx(once / 11)


def test_a_change_of_a_model_that_never_varied_is_seen_by_few_answers() -> None:
    assert novelty_p([novelty({"b": 24}, {"a": 168})]) < 1e-29
    once_a_day = [novelty({"b": 1} if i < 8 else {"a": 1}, {"a": 7}) for i in range(10)]
    # Given that eight prompts had another answer once among eight, all eight came last with this probability.
    assert novelty_p(once_a_day) == pytest.approx(8.0**-8 / 0.9, rel=1e-3)
    assert novelty_p([novelty({"b": 1}, {"a": 7})]) == pytest.approx(1 / 8, rel=1e-3)


@pytest.mark.parametrize("per_day", [1, 24])
@pytest.mark.parametrize("kinds", [1, 3, 40, 10_000])
def test_clean_streams_keep_the_level(kinds: int, per_day: int) -> None:
    """Ten prompts; answers of one of so many wordings with frequencies as in Zipf's law: mostly the same, now and then a new one."""
    rng = np.random.default_rng([kinds, per_day])
    weights = 1 / np.arange(1, kinds + 1) ** 1.2
    weights /= weights.sum()
    runs, p = 400, []
    for _ in range(runs):
        parts = []
        for _ in range(10):
            codes = rng.choice(kinds, 8 * per_day, p=weights).tolist()
            parts.append(novelty(Counter(codes[:per_day]), Counter(codes[per_day:])))
        p.append(novelty_p(parts))
    for level in (0.05, 0.01):
        assert sum(value <= level for value in p) <= stats.binom.ppf(1 - 1e-4, runs, level)


def test_one_prompt_that_changed_is_not_drowned_by_others_that_always_vary() -> None:
    rng = np.random.default_rng(7)
    parts = [novelty({f"new {n}": 4 for n in range(6)}, Counter(map(str, rng.integers(0, 9, 168))))]
    for _ in range(9):
        answers = rng.integers(0, 1000, 192).tolist()
        parts.append(novelty(Counter(answers[:24]), Counter(answers[24:])))
    assert sum_p(parts) > 1e-3
    assert novelty_p(parts) < 3.5e-5


def test_a_model_that_varies_is_seen_to_change() -> None:
    """Half of its wordings are others: a day of ten prompts by the hour is enough, at the share of a starter control."""
    rng = np.random.default_rng(5)
    parts = []
    for _ in range(10):
        then, now = rng.integers(0, 30, 168), rng.integers(15, 45, 24)
        parts.append(novelty(Counter(now.tolist()), Counter(then.tolist())))
    assert novelty_p(parts) < 3.5e-5
