"""Engines: the same results in the same order, wherever they run."""

import operator
import os
import signal
import warnings
from functools import partial

import pytest

from auditor import registry
from auditor.core.errors import ConfigurationError
from auditor.core.window import DAY, Span
from auditor.intake.archive import ParquetArchive
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_records

double = partial(operator.mul, 2)


def test_serial_by_default():
    engine = registry.load("engines", "local")
    assert list(engine.map(double, [3, 1, 2])) == [6, 2, 4]
    with pytest.raises(ZeroDivisionError):
        list(engine.map(partial(operator.truediv, 1), [1, 0]))
    with pytest.raises(ConfigurationError):
        engine.configure(workers=0)


@pytest.fixture
def archive(tmp_path):
    found = ParquetArchive(tmp_path / "archive", tmp_path / "quarantine")
    found.write(make_records(40, seed=1, span=2 * DAY)[0], "s")
    return found


class Counted:
    """Says which process it ran in, and how often this very object was called."""

    calls = 0

    def __call__(self, item):
        self.calls += 1
        return os.getpid(), self.calls


SPANS = [Span(START + i * DAY, START + (i + 1) * DAY) for i in range(3)]


def read_ids(engine, archive):
    return [rows.ids.tolist() for rows in engine.map(partial(archive.read, MODEL), SPANS)]


def test_a_pool_of_processes_reads_the_archive(archive):
    local = registry.load("engines", "local")
    serial = read_ids(local, archive)
    assert sum(map(len, serial)) == 40
    assert read_ids(local.configure(workers=2), archive) == serial


def test_dask_says_what_is_missing():
    engine = registry.load("engines", "dask")
    with pytest.raises(ConfigurationError) as caught:
        list(engine.map(double, [1]))
    assert caught.value.code == "no_address"


@pytest.mark.filterwarnings("ignore")
def test_a_real_dask_cluster_gives_the_same_and_survives_a_lost_worker(archive):
    distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
    ):
        warnings.simplefilter("ignore")
        engine = registry.load("engines", "dask").configure(address=cluster.scheduler_address)
        assert read_ids(engine, archive) == read_ids(registry.load("engines", "local"), archive)
        counted = list(engine.map(Counted(), range(8)))
        for process in {process for process, _ in counted}:  # one function a worker, whatever it keeps
            calls = sorted(call for found, call in counted if found == process)
            assert calls == list(range(1, len(calls) + 1))
        results = engine.map(partial(archive.read, MODEL), SPANS * 20)
        first = [next(results).n]
        os.kill(next(iter(cluster.workers.values())).process.process.pid, signal.SIGKILL)
        assert sum(first) + sum(rows.n for rows in results) == 40 * 20
    with pytest.raises(ConfigurationError) as caught:
        list(registry.load("engines", "dask").configure(address="tcp://127.0.0.1:9", timeout_s=0.3).map(double, [1]))
    assert caught.value.code == "no_scheduler"
