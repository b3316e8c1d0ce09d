"""The archive in a bucket: a real S3-compatible server over HTTP, the same answers as from a folder."""

import importlib.util
import warnings

import numpy as np
import pytest
from at_rest import find

from auditor.core.window import DAY, Span
from auditor.intake.archive import ParquetArchive
from auditor.ports import NumberedLabel
from auditor.testing import make_store
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_records

SPAN = Span(START, START + DAY)

missing = [name for name in ("moto", "s3fs", "flask_cors") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def bucket(monkeypatch):
    """URL of a prefix in an empty bucket."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server.start()
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("records-of-ours")
        yield "s3://records-of-ours/home/archive"
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def test_a_bucket_answers_like_a_folder(bucket, tmp_path):
    store = make_store()
    remote = ParquetArchive(bucket, tmp_path / "quarantine", checksums=store)
    local = ParquetArchive(tmp_path / "archive", tmp_path / "quarantine2")
    records, labels = make_records(60, seed=4)
    days = {(MODEL, record.id): f"{record.time:%Y-%m-%d}" for record in records}
    given = [NumberedLabel(place, label) for place, label in enumerate(labels)]
    for archive in (remote, local):
        for part in range(3):
            archive.write(records[part::3], f"s{part}")
        archive.write_labels(given, days, "s0")
    check(remote, local)
    assert remote.compact(MODEL, f"{START:%Y-%m-%d}") == 3
    check(remote, local)
    (part,) = store.parts("records")
    assert "part-day-" in part.path

    import s3fs

    path = f"{bucket.removeprefix('s3://')}/{part.path}"
    data = s3fs.S3FileSystem().cat_file(path)
    s3fs.S3FileSystem().pipe_file(path, data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :])
    assert remote.read(MODEL, SPAN).n == 0
    assert len(remote.damage()) == 1
    assert any((tmp_path / "quarantine").iterdir())


def check(remote, local):
    assert remote.models() == local.models() == [MODEL]
    ours, theirs = remote.read(MODEL, SPAN), local.read(MODEL, SPAN)
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert ours.truth.tolist() == theirs.truth.tolist()
    for name, values in theirs.numeric.items():
        np.testing.assert_array_equal(ours.numeric[name], values)
    assert find(remote, ours.ids[3]) == find(local, ours.ids[3])
