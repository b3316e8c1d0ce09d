"""Settling and writing without a server: what counts as written when the disk refuses, and what is kept of it."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auditor.core.errors import AuditorError, SegmentError
from auditor.core.window import DAY, Span, format_time
from auditor.intake import contents as contents_module
from auditor.intake import shapes
from auditor.intake.contents import Contents
from auditor.intake.records import JSON, MEDIA, MSGPACK, WHOLE, content_digest
from auditor.ports import IndexEntry
from auditor.segments import Frame, Segment, read_segment
from auditor.service import parsing
from auditor.service.access import Principal
from auditor.service.committer import Committer, Job
from auditor.service.counters import Counters
from auditor.service.parsing import parse_labels, parse_records
from auditor.service.refusals import RequestError
from auditor.service.settle import Recent, settle
from auditor.settings import Home
from auditor.testing.factories import START, make_record

ANYONE = Principal("k", "admin", None)


def body(*ids: str, **more: Any) -> bytes:
    return json.dumps({"records": [make_record(id=name, **more).as_json() for name in ids]}).encode()


class Sender:
    """Submits bodies and waits for what they are told."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def later(self, data: bytes) -> Any:
        told = threading.Event()
        results: list[dict[str, Any] | AuditorError] = []

        def done(result: dict[str, Any] | AuditorError) -> None:
            results.append(result)
            told.set()

        self._committer.submit(Job(partial(parse_records, data, JSON), ANYONE, len(data), done))

        def wait() -> dict[str, Any] | AuditorError:
            assert told.wait(10)
            return results[0]

        return wait

    def __call__(self, data: bytes) -> Any:
        return self.later(data)()


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    made = Committer(Home(tmp_path), f"sqlite:///{tmp_path}/none.db", Counters(), 1 << 30)
    made.start()
    yield made
    made.close()


def written(home: Path) -> list[str]:
    found = []
    for path in sorted(home.glob("journal/*/*.*")):
        found += [json.loads(frame.payload)["id"] for frame in read_segment(path).frames]
    return found


def test_a_refused_fsync_acknowledges_nothing_and_is_not_tried_again(
    committer: Committer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D5: the segment is set aside, the next batch begins another one, and the same rows sent again are new."""
    send = Sender(committer)
    assert send(body("a"))["accepted"] == 1
    synced: list[int] = []
    real = os.fsync

    def broken(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", broken)
    failed = send(body("b", "c"))
    assert isinstance(failed, RequestError)
    assert (failed.status, failed.code, failed.retry_after) == (503, "not_durable", 5)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), real(fd))[1])
    first = synced[0]
    assert send(body("b", "c"))["accepted"] == 2, "what was not written is not known"
    assert synced.count(first) == 1
    committer.close()
    assert sorted(written(tmp_path)) == ["a", "b", "c"]
    assert len(list(tmp_path.glob("journal/*/*.poisoned"))) == 1


def test_a_full_disk_is_507(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    send = Sender(committer)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failed = send(body("a"))
    assert (failed.status, failed.code) == (507, "disk_full")
    monkeypatch.undo()
    assert send(body("a"))["accepted"] == 1


def test_a_failed_group_takes_those_settled_after_it_along(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate of what was lost must not be told that it is safe."""
    send = Sender(committer)
    writing, go = threading.Event(), threading.Event()

    def slow(frames: Any) -> None:
        writing.set()
        assert go.wait(10)
        cause = OSError(errno.EIO, "I/O error")
        error = SegmentError("segment_poisoned", "the disk refused")
        error.__cause__ = cause
        raise error

    monkeypatch.setattr(committer._writer, "append", slow)
    first = send.later(body("a"))
    assert writing.wait(10)
    second = send.later(body("a"))
    while not committer._groups.qsize():
        threading.Event().wait(0.005)
    go.set()
    assert first().code == "not_durable"
    assert second().code == "not_durable"
    monkeypatch.undo()
    assert send(body("a"))["accepted"] == 1


def test_the_journal_has_a_bound(tmp_path: Path) -> None:
    committer = Committer(Home(tmp_path), f"sqlite:///{tmp_path}/none.db", Counters(), 100)
    committer.start()
    send = Sender(committer)
    assert send(body("a"))["accepted"] == 1
    with pytest.raises(RequestError) as error:
        send(body("b"))
    assert (error.value.status, error.value.code) == (507, "journal_full")
    committer.close()


def test_rolling_seals_and_forgetting_forgets_what_is_older(committer: Committer, tmp_path: Path) -> None:
    send = Sender(committer)
    send(body("a"))
    mark = committer.roll()
    assert [path.suffix for path in tmp_path.glob("journal/*/*.*")] == [".seg"]
    send(body("b"))
    committer.forget(mark)
    assert committer._recent.get("digit-reader", "a") is None
    assert committer._recent.get("digit-reader", "b") is not None


def test_recent_keeps_the_newest_that_fit() -> None:
    recent = Recent(100)
    for name in "abc":
        recent.add([name], ("record", name.encode() * 40), "m")
    assert [recent.get("m", name) is not None for name in "abc"] == [False, True, True]
    recent.remove("m", "b")
    recent.add(["b"], ("record", b"x" * 10), "m")
    mark = recent.mark()
    recent.add(["d"], ("record", b"d" * 10), "m")
    recent.forget(mark)
    assert [recent.get("m", name) is not None for name in "bcd"] == [False, False, True]
    recent.forget(recent.mark())
    assert recent._bytes == 0


def test_what_the_index_knows_and_what_it_cannot_be_asked() -> None:
    batch = parse_records(body("a", "b"), JSON)
    line = IndexEntry("a", content_digest(batch.rows[0][1]), "digit-reader", "2026-01-05", "s")
    done = settle(batch, ANYONE, Recent(), {line.key: line})
    assert (done.answer["accepted"], done.answer["duplicates"]) == (1, 1)
    other = IndexEntry("a", "0" * 32, "digit-reader", "2026-01-05", "s")
    done = settle(parse_records(body("a", "b"), JSON), ANYONE, Recent(), {other.key: other})
    assert [row["code"] for row in done.answer["refused"]] == ["id_conflict"]
    done = settle(parse_records(body("a", "b"), JSON), ANYONE, Recent(), None)
    assert done.answer["accepted"] == 2, "settled at the drain"
    some = Principal("k", "ingest", frozenset({"digit-reader", "reader-2"}))
    with pytest.raises(RequestError) as error:
        settle(parse_labels(b'{"labels": [{"id": "a", "label": "x"}]}', JSON, START), some, Recent(), None)
    assert (error.value.status, error.value.code) == (503, "index_unavailable")


def test_the_same_id_in_two_models_is_two_records() -> None:
    recent = Recent()
    mine = IndexEntry("a", "0" * 32, "another", "2026-01-05", "s")
    first = settle(parse_records(body("a"), JSON), ANYONE, recent, {mine.key: mine})
    other = settle(parse_records(body("a", model="third"), JSON), ANYONE, recent, {mine.key: mine})
    assert (first.added, other.added) == ([("digit-reader", "a")], [("third", "a")])
    assert not other.answer["duplicates"]
    assert not other.answer["refused"]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (None, ["named", None, None, None]),
        ({"named"}, ["named", "named", "named", "named"]),
        ({"named", "m1"}, ["named", "m1", "refused ambiguous_label", "refused unknown_record"]),
    ],
)
def test_a_label_takes_its_model_from_its_field_or_the_key(models: set[str] | None, expected: list[Any]) -> None:
    lines = {(model, name): IndexEntry(name, "d", model, "2026-01-05", "s") for model, name in [("named", "y")]}
    recent = Recent()
    for name, model in (("x", "m1"), ("y", "m1"), ("y", "m3")):
        recent.add([name], ("record", b"{}"), model)
    rows = [{"id": "w", "model": "named"}, {"id": "x"}, {"id": "y"}, {"id": "z"}]
    data = json.dumps({"labels": [{**row, "label": "1"} for row in rows]}).encode()
    key = Principal("k", "ingest", None if models is None else frozenset(models))
    done = settle(parse_labels(data, JSON, START), key, recent, lines)
    found = {label["id"]: label.get("model") for label in (json.loads(payload) for _, payload in done.frames)}
    found.update({row["id"]: f"refused {row['code']}" for row in done.answer["refused"]})
    assert [found[name] for name in "wxyz"] == expected


def test_a_key_labels_no_other_model() -> None:
    data = b'{"labels": [{"id": "a", "label": "x", "model": "theirs"}]}'
    with pytest.raises(RequestError) as error:
        settle(parse_labels(data, JSON, START), Principal("k", "ingest", frozenset({"mine"})), Recent(), {})
    assert (error.value.status, error.value.code) == (403, "wrong_model")


def test_the_same_id_twice_in_one_body() -> None:
    one = make_record(id="a").as_json()
    data = json.dumps({"records": [one, one, {**one, "latency_s": 7.0}]}).encode()
    done = settle(parse_records(data, JSON), ANYONE, Recent(), {})
    assert (done.answer["accepted"], done.answer["duplicates"]) == (1, 1)
    assert [(row["index"], row["code"]) for row in done.answer["refused"]] == [(2, "id_conflict")]


def test_another_spelling_of_what_the_index_knows_is_a_duplicate() -> None:
    """The drain keeps times in UTC, and takes the digest of that."""
    one = {**make_record(id="a").as_json(), "time": "2026-01-05T10:00:00+01:00", "sampling": 1.0}
    frame = Frame("record", json.dumps(one).encode(), 0)
    contents = Contents()
    contents.add(Segment(Path("a.seg"), (frame,)))
    contents.close()
    (line,) = contents.piles[0].entries("s")
    for media, encode in ((JSON, msgspec.json.encode), (MSGPACK, msgspec.msgpack.encode)):
        done = settle(parse_records(encode({"records": [one]}), media), ANYONE, Recent(), {line.key: line})
        assert (done.answer["duplicates"], done.answer["refused"]) == (1, [])


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_bodies_of_records_that_look_alike_come_to_the_same(media: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, by a decoder of their own, all at once, and row by row: the same answers, the same records at the drain."""
    good = [make_record(id=f"r{i}", latency_s=i / 8).as_json() for i in range(8)]
    spoiled: list[dict[str, Any]] = [
        {},
        {"time": "2026-01-05T10:00:00+01:00"},
        {"time": "2500-01-05T10:00:00Z"},
        {"time": "2026-01-05T10:00:00"},
        {"latency_s": "slow"},
        {"latency_s": -1},
        {"groups": {"site": None}},
        {"output": {"label": 7}},
        {"colour": 1},
        {"sensitive": {"sex": "f"}},
        {"sampling": 1.0},
        {"sampling": 2},
        {"inputs": []},
        {"inputs": [*good[0]["inputs"], good[0]["inputs"][0]]},
        {"id": ""},
        {"id": None},
    ]
    encode = msgspec.json.encode if media == JSON else msgspec.msgpack.encode
    first = Frame(parsing.KIND[media], encode({**good[0], "id": "first"}), 0)
    if media == MSGPACK:
        spoiled += [{"latency_s": float("nan")}, {"inputs": [{**good[0]["inputs"][0], "descriptors": {"x": 1e400}}]}]
    spoiled.append({})
    bodies = [encode({"records": [*good[:4], {**good[4], **changes}, *good[5:]]}) for changes in spoiled]
    wholes = 0

    def outcomes() -> list[Any]:
        nonlocal wholes
        found = []
        for data, changes in zip(bodies, spoiled, strict=True):
            done = settle(parse_records(data, media), ANYONE, Recent(), {})
            answer = done.answer
            frames = tuple(Frame(*frame, index) for index, frame in enumerate(done.frames))
            assert {frame.kind for frame in frames} <= {*MEDIA, *WHOLE}
            wholes += sum(frame.kind in WHOLE for frame in frames)
            at_drain = Contents()
            at_drain.add(Segment(Path("0.seg"), (first,)))  # shows it what they look like
            at_drain.add(Segment(Path("a.seg"), frames))
            at_drain.close()
            assert not at_drain.refused
            kept = {
                identifier: digest
                for pile in at_drain.piles
                for identifier, digest in zip(pile.ids, pile.digests, strict=True)
                if changes != {"id": None} or len(identifier) == 2  # it was given an id by chance
            }
            for row in answer["refused"]:
                row["message"] = row["message"].split(" - at")[0]
            found.append((answer, kept))
        return found

    monkeypatch.setattr(parsing, "_shapes", {media: shapes.Shapes()})
    monkeypatch.setattr(shapes, "_ENOUGH", 10**9)
    expected = outcomes()
    assert not wholes
    monkeypatch.setattr(parsing, "_shapes", {media: shapes.Shapes()})
    monkeypatch.setattr(shapes, "_ENOUGH", 1)
    assert outcomes() == expected
    assert wholes >= 1
    monkeypatch.setattr(parsing, "MAX_BODY", 0)
    assert outcomes() == expected
    monkeypatch.setattr(parsing, "_shapes", {media: shapes.Shapes()})
    monkeypatch.setattr(parsing, "_typed_records", lambda body, media: [])
    assert outcomes() == expected


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_a_body_that_was_written_whole_is_known_row_by_row(media: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_ENOUGH", 1)
    monkeypatch.setattr(parsing, "_shapes", {media: shapes.Shapes()})
    encode = msgspec.json.encode if media == JSON else msgspec.msgpack.encode
    rows = [make_record(id=f"r{i}", latency_s=i / 8).as_json() for i in range(4)]
    parse_records(encode({"records": rows}), media)
    recent = Recent()
    first = settle(parse_records(encode({"records": rows}), media), ANYONE, recent, {})
    assert [kind for kind, _ in first.frames] == [parsing.BODY[media]]
    assert (first.answer["accepted"], first.added) == (4, [("digit-reader", f"r{i}") for i in range(4)])

    again = settle(parse_records(encode({"records": rows[::-1]}), media), ANYONE, recent, {})
    assert (again.frames, again.answer["duplicates"]) == ([], 4)
    other = [rows[0], {**rows[1], "latency_s": 9.0}, {**rows[2], "id": "new"}]
    mixed = settle(parse_records(encode({"records": other}), media), ANYONE, recent, {})
    assert [kind for kind, _ in mixed.frames] == [parsing.KIND[media]]
    assert (mixed.answer["accepted"], mixed.answer["duplicates"]) == (1, 1)
    assert [(row["index"], row["code"]) for row in mixed.answer["refused"]] == [(1, "id_conflict")]

    recent.remove("digit-reader", "r3")  # as when the disk refused it
    late = settle(parse_records(encode({"records": rows}), media), ANYONE, recent, {})
    assert (late.answer["accepted"], late.answer["duplicates"]) == (1, 3)
    twice = settle(parse_records(encode({"records": [rows[0]] * 2}), media), ANYONE, Recent(), {})
    assert (twice.answer["accepted"], twice.answer["duplicates"]) == (1, 1)


def test_a_row_of_a_whole_body_is_refused_alone_at_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [make_record(id=f"r{i}", latency_s=i / 8).as_json() for i in range(4)]
    frames = [msgspec.json.encode({"records": rows}), msgspec.json.encode({"records": [{**rows[2], "latency_s": 9.0}]})]
    broken = msgspec.json.encode({"records": [rows[0], {"id": "r9"}, {**rows[1], "id": "r8"}]})
    for enough in (1, 10**9):
        monkeypatch.setattr(shapes, "_ENOUGH", enough)
        contents = Contents()
        for place, payload in enumerate([*frames, broken]):
            contents.add(Segment(Path("a.seg"), (Frame("records", payload, 100 * place),)))
        contents.close()
        assert sorted(name for pile in contents.piles for name in pile.ids) == ["r0", "r1", "r2", "r3", "r8"]
        assert [(row.code, row.where, row.id) for row in contents.refused] == [
            ("id_conflict", "a.seg:100", "r2"),
            ("missing_key", "a.seg:200#1", "r9"),
        ]
        assert contents.duplicates == 1
        (source,) = (
            source
            for pile in contents.piles
            for name, source in zip(pile.ids, pile.sources, strict=True)
            if name == "r3"
        )
        contents.refuse_conflict(source)
        assert (contents.refused[-1].id, contents.refused[-1].where) == ("r3", "a.seg:0#3")


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_what_nobody_has_read_is_not_kept_whole(media: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of two equal keys counts: what stood under the first must not reach the drain, which it could stop."""
    monkeypatch.setattr(shapes, "_ENOUGH", 1)
    monkeypatch.setattr(parsing, "_shapes", {media: shapes.Shapes()})
    encode = msgspec.json.encode if media == JSON else msgspec.msgpack.encode
    rows = [make_record(id=f"r{i}", latency_s=i / 8).as_json() for i in range(4)]
    plain = encode({"records": rows})
    parse_records(plain, media)
    assert parse_records(plain, media).whole is not None
    deep = 900
    hidden = (
        plain[:-1] + b',"energy":' + b"[" * deep + b"]" * deep + b',"energy":[]}'
        if media == JSON
        else b"\x83" + plain[1:] + b"\xa6energy" + b"\x91" * deep + b"\xc0" + b"\xa6energy\x90"
    )
    talkative = encode({"records": rows, "schema": "what the patient said. " * 20})
    for body in (hidden, talkative):
        batch = parse_records(body, media)
        assert batch.whole is None
        assert [frame for _, _, frame in batch.rows] == [(parsing.KIND[media], encode(row)) for row in rows]
    assert parse_records(encode({"records": rows, "schema": "auditor.record/1"}), media).whole is not None


def test_a_whole_body_that_contradicts_at_the_drain_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row at a time it would take minutes."""
    monkeypatch.setattr(shapes, "_ENOUGH", 1)
    rows = [make_record(id=f"r{i}", latency_s=i / 8).as_json() for i in range(50)]
    bodies = [[{**rows[0], "id": "first"}], rows, [{**row, "latency_s": 9.0} for row in rows]]
    opened = []
    real = contents_module.cut
    monkeypatch.setattr(contents_module, "cut", lambda kind, payload: opened.append(1) or real(kind, payload))
    contents = Contents()
    frames = [Frame("records", msgspec.json.encode({"records": body}), index) for index, body in enumerate(bodies)]
    contents.add(Segment(Path("a.seg"), tuple(frames)))
    contents.close()
    assert [(row.code, row.id) for row in contents.refused] == [("id_conflict", f"r{i}") for i in range(50)]
    assert len(opened) == 2, "the first body, of a shape yet unknown, and the one that contradicts"


_DEEP = b"[" * 2000 + b"]" * 2000
_HALF = b"[" * 700 + b"]" * 700


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("records", b'{"records": [{"id": "a"'),
        ("records", b"[]"),
        ("records", b'{"records": %b}' % _DEEP),
        ("records", b'{"records": [{"id": "a", "x": %b}]}' % _HALF),
        ("record", b'{"id": "a", "x": %b}' % _HALF),
        ("label", b'{"id": "a", "x": %b}' % _HALF),
        ("energy", _HALF),
        ("packed-records", b"\xc1"),
        ("records", b'{"newer": 1, "records": [{"id": "a", "sensitive": {"age": "Methuselah"}}]}'),
        ("packed-records", msgspec.msgpack.encode({"x": 1, "records": [{"sensitive": {"age": "Methuselah"}}]})),
    ],
)
def test_a_frame_that_says_nothing_sensible_is_set_aside_alone(kind: str, payload: bytes) -> None:
    """Such frames others write; the drain goes on, and what is sensitive in them is not written."""
    good = make_record(id="good").as_json()
    contents = Contents()
    contents.add(Segment(Path("a.seg"), (Frame(kind, payload, 0), Frame("record", json.dumps(good).encode(), 9))))
    contents.close()
    assert [pile.ids for pile in contents.piles] == [["good"]]
    assert len(contents.refused) == 1
    assert "Methuselah" not in json.dumps(contents.refused[0].as_json())


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_times_outside_the_home_s_bounds_are_refused_row_by_row(media: str) -> None:
    encode = msgspec.json.encode if media == JSON else msgspec.msgpack.encode
    times = Span(START - DAY, START + DAY)
    moments = {"a": START, "ahead": START + DAY, "early": START - 2 * DAY}
    rows = [make_record(id=name, time=moment).as_json() for name, moment in moments.items()]
    for _ in range(20):  # by itself, and once such records have a decoder of their own
        batch = parse_records(encode({"records": rows}), media, times)
        assert batch.ids() == ["a"]
        assert [(row["id"], row["code"]) for row in batch.refused] == [
            ("ahead", "time_out_of_range"),
            ("early", "time_out_of_range"),
        ]
    labels = [{"id": name, "label": "x", "time": format_time(moment)} for name, moment in moments.items()]
    told = parse_labels(encode({"labels": labels}), media, START, times)
    assert [label.id for _, label in told.labels] == ["a"]
    assert told.refused_count == 2
