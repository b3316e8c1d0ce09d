"""Every store keeps what monitors know, by plugin, model and baseline, and gives it back to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.core.monitor import Bets, MonitorState, encode_monitor
from auditor.core.window import DAY
from auditor.ports import Store
from auditor.store.sql import SqlStore
from auditor.testing import make_store
from auditor.testing.factories import START

STATE = MonitorState(
    model="m",
    baseline="b",
    frame="f",
    start=START,
    until=START + DAY,
    bets={
        "x": Bets(capital=np.array([-np.inf, 0.1, 1e-300]), bag=np.array([3, 0, 1 << 40]), ranks=np.array([0.5, 2.0])),
        "pairs.a~b.cosine": Bets(
            capital=np.array([5.0]), limit=0.7, n=3, score=1.5, since=START, rows=2, peak=2.0, peak_rows=1
        ),
    },
)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        opened: Any = make_store()
    elif request.param == "sqlite":
        opened = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    else:
        opened = SqlStore(request.getfixturevalue("postgres_store_url"))
    yield opened
    opened.close()


def test_a_monitor_comes_back_as_it_was(store: Store) -> None:
    assert store.monitor("sequential", "m", "b") is None
    store.put_monitor("sequential", STATE)
    found = store.monitor("sequential", "m", "b")
    assert found is not None
    assert encode_monitor(found) == encode_monitor(STATE)
    assert found.bets["x"].log_wealth == STATE.bets["x"].log_wealth


def test_the_newest_is_kept_by_plugin_model_and_baseline(store: Store) -> None:
    later = replace(STATE, until=START + 2 * DAY, late=4)
    store.put_monitor("sequential", STATE)
    store.put_monitor("sequential", replace(STATE, baseline="other"))
    store.put_monitor("another", STATE)
    store.put_monitor("sequential", later)
    kept = {
        (name, baseline): store.monitor(name, "m", baseline)
        for name, baseline in (("sequential", "b"), ("sequential", "other"), ("another", "b"))
    }
    assert {key: (state and state.until, state and state.late) for key, state in kept.items()} == {
        ("sequential", "b"): (START + 2 * DAY, 4),
        ("sequential", "other"): (START + DAY, 0),
        ("another", "b"): (START + DAY, 0),
    }
    assert store.monitor("sequential", "n", "b") is None
