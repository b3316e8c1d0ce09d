"""What drift costs: the same data to Evidently and to auditor, in one process, in turn; seconds are CPU seconds, of one
thread: several would wait for each other while other programs run, and waiting counts.

Baseline of 100 000 rows, window of 1 000 000, 20 numbers and 5 words a row. Then embeddings of 512 dimensions, 100 000 on
either side, against Evidently's classifier.

    python benchmarks/drift.py [--rows 1000000] [--rounds 5] [--no-peer] [--flat] [--save FOLDER]

`--flat` adds what a record costs among 100 000, a million and ten million; `--save` leaves the tables as Parquet for
`benchmarks/drift_peers.py`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from common import keep

from auditor.audit.summarise import fit_frame, summarise_hours
from auditor.core.blocks import Moments, NumericState
from auditor.core.codec import decode_state, encode_state
from auditor.core.frame import Frame
from auditor.core.rows import Rows
from auditor.core.state import CategoricalState, WindowState, merge_all
from auditor.core.window import HOUR, to_us
from auditor.drift import domain_classifier, frechet, kernel, univariate
from auditor.testing.factories import START

LEVELS = (3, 8, 20, 50, 200)
Columns = dict[str, np.ndarray]


def numbers(n: int, rng: np.random.Generator, shift: float = 0.0) -> Columns:
    """Normal, lognormal, exponential and rounded columns, five of each."""
    kinds = (
        lambda: rng.normal(shift, 1, n),
        lambda: rng.lognormal(shift, 0.7, n),
        lambda: rng.exponential(1 + shift, n),
        lambda: rng.normal(shift, 2, n).round(1),
    )
    return {f"x{i:02d}": kinds[i % 4]() for i in range(20)}


def codes(n: int, rng: np.random.Generator) -> Columns:
    return {f"w{i}": rng.integers(0, size, n) for i, size in enumerate(LEVELS)}


def words(columns: Columns) -> Columns:
    return {name: np.array([f"level {k}" for k in range(256)], object)[code] for name, code in columns.items()}


def as_rows(numeric: Columns, categorical: Columns, vectors: Columns | None = None) -> Rows:
    """Records of one tabular input (and, with vectors, an embedding), spread over a day."""
    n = len(next(iter((numeric or vectors or {}).values())))
    return Rows(
        model="tables",
        ids=np.array([f"{i:012x}" for i in range(n)], object),
        time_us=to_us(START) + (np.arange(n) * (86_399_000_000 // n)),
        version=np.full(n, "1", object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        numeric={f"inputs.form.descriptors.{name}": x for name, x in numeric.items()},
        categorical={f"inputs.form.descriptors.{name}": x for name, x in categorical.items()},
        vectors={f"inputs.form.{name}": x for name, x in (vectors or {}).items()},
        presence={"form": np.ones(n, np.int8)},
        modality={"form": "tabular"},
        truth=np.full(n, None, object),
        truth_value=np.full(n, np.nan),
        labelled_us=np.full(n, -1),
    )


def timed(what: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Median CPU seconds, which other programs on the machine do not lengthen, and the last result."""
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        found = what()
        taken.append(time.process_time() - began)
    return statistics.median(taken), found


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_mb() -> float:
    """Resident now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 2**20


def allocated_mb(what: Callable[[], Any]) -> float:
    """The most that `what` holds at once beyond what was there before, arrays included."""
    tracemalloc.start()
    what()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


# -- the univariate part by itself --------------------------------------------------------------------------------------


def numeric_state(x: np.ndarray, frame: Frame, name: str) -> NumericState:
    counts = frame.grids[name].count(x)
    bins = np.flatnonzero(counts)
    return NumericState(bins, counts[bins], Moments.of(x))


def state_of(numeric: Columns, counted: dict[str, CategoricalState], frame: Frame, bare: WindowState) -> WindowState:
    """Only what the univariate plugin reads."""
    from dataclasses import replace

    states = {f"inputs.form.descriptors.{name}": x for name, x in numeric.items()}
    n = len(next(iter(numeric.values())))
    return replace(
        bare,
        n=n,
        described=n,
        numeric={name: numeric_state(x, frame, name) for name, x in states.items()},
        categorical={f"inputs.form.descriptors.{name}": state for name, state in counted.items()},
    )


def count_words(columns: Columns) -> dict[str, CategoricalState]:
    from collections import Counter

    return {name: CategoricalState.of(Counter(x.tolist())) for name, x in columns.items()}


def count_codes(columns: Columns) -> dict[str, CategoricalState]:
    return {
        name: CategoricalState.of({f"level {k}": int(c) for k, c in enumerate(np.bincount(x)) if c})
        for name, x in columns.items()
    }


# -- peers --------------------------------------------------------------------------------------------------------------


def evidently_preset(then: Columns, now: Columns) -> float:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently
        from evidently.presets import DataDriftPreset

        a, b = pd.DataFrame(then), pd.DataFrame(now)
        began = time.process_time()
        definition = evidently.DataDefinition(
            numerical_columns=[c for c in then if c[0] == "x"], categorical_columns=[c for c in then if c[0] == "w"]
        )
        sets = [evidently.Dataset.from_pandas(x, data_definition=definition) for x in (b, a)]
        evidently.Report([DataDriftPreset()]).run(*sets).dict()
        return time.process_time() - began


def evidently_model(then: np.ndarray, now: np.ndarray) -> float:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.metrics.data_drift.embedding_drift_methods import model

        a, b = pd.DataFrame(then), pd.DataFrame(now)
        began = time.process_time()
        model(threshold=0.55)(b, a)
        return time.process_time() - began


# -- the two tables -----------------------------------------------------------------------------------------------------


def tables(rows: int, rounds: int, peer: bool, save: Path | None) -> dict[str, float]:
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(0)
    then, now = numbers(100_000, rng), numbers(rows, rng, 0.02)
    then_codes, now_codes = codes(100_000, rng), codes(rows, rng)
    then_words, now_words = words(then_codes), words(now_codes)
    if save is not None:
        import pandas as pd

        save.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({**then, **then_words}).to_parquet(save / "reference.parquet")
        pd.DataFrame({**now, **now_words}).to_parquet(save / "current.parquet")
    week = as_rows(then, then_words)
    frame = fit_frame(week)
    hours = [START + i * HOUR for i in range(24)]
    baseline = merge_all(summarise_hours(week, frame, hours))
    measure = lambda state: list(univariate.PLUGIN.measure(state, baseline, frame))  # noqa: E731

    found: dict[str, float] = {}
    found["from codes"], readings = timed(
        lambda: measure(state_of(now, count_codes(now_codes), frame, baseline)), rounds
    )
    found["from strings"], _ = timed(lambda: measure(state_of(now, count_words(now_words), frame, baseline)), rounds)
    found["extra peak MB, univariate"] = allocated_mb(
        lambda: measure(state_of(now, count_words(now_words), frame, baseline))
    )
    errors = {"drift.ks": 0.0, "drift.wasserstein": 0.0}
    for reading in readings:
        name = reading.attributes["column"]
        if reading.metric in errors and reading.value is not None:
            a, b = then[name], now[name]
            exact = (
                ks_2samp(a, b, method="asymp").statistic
                if reading.metric == "drift.ks"
                else wasserstein_distance(a, b) / a.std(ddof=1)
            )
            errors[reading.metric] = max(errors[reading.metric], abs(reading.value - exact))
    found["KS error"], found["Wasserstein error"] = errors["drift.ks"], errors["drift.wasserstein"]

    day = as_rows(now, now_words)
    found["full state"], hourly = timed(lambda: summarise_hours(day, frame, hours), rounds)
    stored = [encode_state(state) for state in hourly]
    daily = encode_state(merge_all(hourly))
    found["kB an hour"], found["kB a day"] = statistics.mean(map(len, stored)) / 1024, len(daily) / 1024
    found["one day from 24 hours"], _ = timed(lambda: measure(merge_all([decode_state(s) for s in stored])), rounds)
    found["28 days from daily states"], _ = timed(lambda: measure(merge_all([decode_state(daily)] * 28)), rounds)
    if peer:
        before = resident_mb()
        found["Evidently preset"] = evidently_preset({**then, **then_words}, {**now, **now_words})
        found["extra peak MB, Evidently"] = peak_mb() - before
    return found


def embeddings(rows: int, rounds: int, peer: bool) -> dict[str, float]:
    rng = np.random.default_rng(1)
    mix = (rng.normal(size=(512, 512)) * 0.9 ** (np.arange(512) / 8)).astype(np.float32)
    then, now = (rng.standard_normal((rows, 512), np.float32) @ mix for _ in range(2))
    week = as_rows({}, {}, {"embedding": then})
    frame = fit_frame(week)
    hours = [START + i * HOUR for i in range(24)]
    baseline = merge_all(summarise_hours(week, frame, hours))
    day = as_rows({}, {}, {"embedding": now})

    def ours(state: WindowState) -> list[Any]:
        plugins = (frechet.PLUGIN, kernel.PLUGIN, domain_classifier.PLUGIN)
        return [reading for plugin in plugins for reading in plugin.measure(state, baseline, frame)]

    found: dict[str, float] = {}
    found["state of embeddings"], state = timed(lambda: merge_all(summarise_hours(day, frame, hours)), rounds)
    found["Frechet, kernel, classifier"], _ = timed(lambda: ours(state), rounds)

    def from_raw() -> list[Any]:
        """Both sides from their embeddings, as the peer is given them: frame, baseline, window, figures."""
        fitted = fit_frame(week)
        before, after = (merge_all(summarise_hours(side, fitted, hours)) for side in (week, day))
        plugins = (frechet.PLUGIN, kernel.PLUGIN, domain_classifier.PLUGIN)
        return [reading for plugin in plugins for reading in plugin.measure(after, before, fitted)]

    found["both sides, frame included"], _ = timed(from_raw, 1)
    if peer:
        found["Evidently model"] = evidently_model(then, now)
    return found


def flatness() -> dict[str, float]:
    """Microseconds of CPU a record, for states of four numbers and a word, by how many records there are."""
    rng = np.random.default_rng(2)
    hours = [START + i * HOUR for i in range(24)]

    def traffic(n: int) -> Rows:
        numeric = {f"x{i:02d}": rng.normal(size=n) for i in range(4)}
        return as_rows(numeric, words({"w0": rng.integers(0, 8, n)}))

    frame = fit_frame(traffic(100_000))
    found = {}
    for n in (100_000, 1_000_000, 10_000_000):
        day = traffic(n)
        taken, _ = timed(lambda day=day: summarise_hours(day, frame, hours), 3)
        found[f"us a record of {n}"] = taken / n * 1e6
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--embeddings", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    peer = not options.no_peer
    found = {"rows": options.rows, **tables(options.rows, options.rounds, peer, options.save)}
    found |= {"embeddings": options.embeddings, **embeddings(options.embeddings, max(1, options.rounds // 2), peer)}
    found |= flatness() if options.flat else {}
    for name, value in found.items():
        print(f"{name:>32} {value:>12.4g}")
    if peer:
        preset, model = found["Evidently preset"], found["Evidently model"]
        ratios = {
            name: preset / found[name]
            for name in ("from strings", "from codes", "full state", "28 days from daily states")
        }
        together = found["state of embeddings"] + found["Frechet, kernel, classifier"]
        ratios["embeddings, share of Evidently"] = together / model
        ratios["both sides, share of Evidently"] = found["both sides, frame included"] / model
        ratios["memory, share of Evidently"] = found["extra peak MB, univariate"] / found["extra peak MB, Evidently"]
        for name, value in ratios.items():
            print(f"{name:>32} {value:>12.3g}{'' if 'share' in name else ' times as fast as Evidently'}")
        keep("drift", {"figures": found, "ratios": ratios})
    return 0


if __name__ == "__main__":
    sys.exit(main())
