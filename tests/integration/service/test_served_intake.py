"""The running service: records, labels, batch answers, idempotency, what is in the archive afterwards."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from typing import Any

import httpx
import msgspec
import pytest

from auditor.core.window import Span, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home

DAY = Span(parse_time("2026-01-05"), parse_time("2026-01-06"))


def archived(home: Any, model: str) -> set[str]:
    place = Home(home)
    return set(ParquetArchive(place.archive, place.quarantine).read(model, DAY).ids.tolist())


def test_batches_are_answered_as_the_contract_says(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        rows = [make_row(f"a{i}", "batches") for i in range(4)]
        first = client.post("/v1/records", json={"records": rows})
        assert first.status_code == 200
        none = {"refused": [], "refused_count": 0}
        assert first.json() == {"schema": "auditor.batch/1", "accepted": 4, "duplicates": 0, **none}
        again = client.post("/v1/records", json={"records": rows}).json()
        assert (again["accepted"], again["duplicates"], again["refused"]) == (0, 4, [])
        packed = client.post(
            "/v1/records",
            content=msgspec.msgpack.encode({"records": rows}),
            headers={"Content-Type": "application/msgpack"},
        ).json()
        assert (packed["accepted"], packed["duplicates"]) == (0, 4), "the same content in another spelling"
        mixed = [
            make_row("a0", "batches", latency_s=3.0),
            make_row("a9", "batches"),
            {"id": "bad"},
            make_row("a10", "batches", sensitive={"sex": "f"}),
            make_row("a11", "batches", latency_s="soon"),
        ]
        answer = client.post("/v1/records", json={"records": mixed}).json()
        assert answer["accepted"] == 1
        assert [(entry["index"], entry["id"], entry["code"]) for entry in answer["refused"]] == [
            (0, "a0", "id_conflict"),
            (2, "bad", "missing_key"),
            (3, "a10", "no_vault"),
            (4, "a11", "bad_type"),
        ]


def test_drained_records_are_known_by_the_index(served: Any, make_row: Any) -> None:
    with served.client() as client:
        rows = [make_row(f"d{i}", "drained") for i in range(3)]
        assert client.post("/v1/records", json={"records": rows}).json()["accepted"] == 3
        served.wait(lambda: archived(served.home, "drained") == {"d0", "d1", "d2"})
        served.wait(lambda: any(item["name"] == "drained" for item in client.get("/v1/models").json()["items"]))
        rows[1]["latency_s"] = 9.0
        answer = client.post("/v1/records", json={"records": rows}).json()
        assert (answer["accepted"], answer["duplicates"]) == (0, 2)
        assert [entry["code"] for entry in answer["refused"]] == ["id_conflict"]


def test_a_record_without_an_id_gets_one(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        rows = [make_row("", "nameless"), make_row("", "nameless")]
        for entry in rows:
            del entry["id"]
        assert client.post("/v1/records", json={"records": rows}).json()["accepted"] == 2
        served.wait(lambda: len(archived(served.home, "nameless")) == 2)


def test_every_encoding_of_a_body(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        plain = json.dumps({"records": [make_row("z1", "encodings")]}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
        assert client.post("/v1/records", content=gzip.compress(plain), headers=headers).json()["accepted"] == 1

        def chunks() -> Any:
            yield plain[:20]
            yield plain[20:]

        answer = client.post("/v1/records", content=chunks(), headers={"Content-Type": "application/json"})
        assert answer.json()["duplicates"] == 1


def test_null_descriptors_arrive_alike_in_both_encodings(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        rows = [make_row("n1", "nulls")]
        rows[0]["inputs"][0]["descriptors"]["gone"] = None
        packed = msgspec.msgpack.encode({"records": rows})
        assert (
            client.post("/v1/records", content=packed, headers={"Content-Type": "application/msgpack"}).json()[
                "accepted"
            ]
            == 1
        )
        assert client.post("/v1/records", json={"records": rows}).json()["duplicates"] == 1


def test_labels_energy_and_tallies(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        body = {
            "records": [make_row("l1", "labelled")],
            "energy": [{"nonsense": 1}],
            "tallies": [
                {
                    "model": {"name": "labelled"},
                    "session": "s",
                    "fork": 0,
                    "start": "2026-01-05T09:00:00Z",
                    "end": "2026-01-05T10:00:00Z",
                    "seen": 2,
                    "described": 1,
                    "delivered": 1,
                    "dropped": {"sampled": 1},
                }
            ],
        }
        answer = client.post("/v1/records", json=body).json()
        assert answer["accepted"] == 1
        assert answer["tallies"] == {"accepted": 1, "refused": [], "refused_count": 0}
        assert answer["energy"]["accepted"] == 0
        assert answer["energy"]["refused"][0]["index"] == 0
        labels = [{"id": "l1", "label": "cat"}, {"id": "l1"}, {"label": "cat"}]
        answer = client.post("/v1/labels", json={"labels": labels}).json()
        assert answer["accepted"] == 1
        assert [entry["index"] for entry in answer["refused"]] == [1, 2]
    place = Home(served.home)

    def truth() -> Any:
        rows = ParquetArchive(place.archive, place.quarantine).read("labelled", DAY)
        return rows.n == 1 and rows.truth[0] == "cat"

    served.wait(truth)


def test_the_same_batch_three_times_at_once(served: Any, make_row: Any) -> None:
    """D8, short: concurrent repeats count once, whatever the order."""
    rows = [make_row(f"t{i}", "thrice") for i in range(200)]
    body = json.dumps({"records": rows}).encode()
    answers: list[dict[str, Any]] = []

    def send() -> None:
        with served.client("ingest") as client:
            answers.append(
                client.post("/v1/records", content=body, headers={"Content-Type": "application/json"}).json()
            )

    served.key("ingest")
    for _ in range(3):
        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(answer["accepted"] for answer in answers) == 200
    assert sum(answer["duplicates"] for answer in answers) == 8 * 200
    served.wait(lambda: len(archived(served.home, "thrice")) == 200)


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.soak)])
def test_killed_at_any_moment_nothing_acknowledged_is_lost(home_for_service: Any, make_row: Any, kills: int) -> None:
    """D1 and D8: kill -9 while clients send; what was acknowledged is in the archive once, nothing else is.

    Whoever got no answer sends again, and so does everybody else: nothing counts twice, and nothing can be altered.
    """
    running = home_for_service()
    running.key("ingest")
    acknowledged: set[str] = set()
    sent: dict[str, dict[str, Any]] = {}

    def send(name: str, stop: threading.Event) -> None:
        number = 0
        with running.client("ingest") as client:
            while not stop.is_set():
                rows = [make_row(f"{name}-{number + i}") for i in range(20)]
                number += 20
                sent.update((entry["id"], entry) for entry in rows)
                try:
                    if client.post("/v1/records", json={"records": rows}).status_code == 200:
                        acknowledged.update(entry["id"] for entry in rows)
                except httpx.HTTPError:
                    return

    for attempt in range(kills):
        running.start()
        stop = threading.Event()
        threads = [threading.Thread(target=send, args=(f"k{attempt}-{i}", stop)) for i in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.4 + 0.23 * (attempt % 7))
        running.stop(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
    assert acknowledged
    running.start()
    accepted = 0
    # What was taken before the kill is known again once it is drained; until then a repeat is settled at the drain.
    running.wait(lambda: acknowledged <= archived(running.home, "m"), 30)
    with running.client("ingest") as client:
        everything = list(sent.values())
        for start in range(0, len(everything), 2000):
            rows = everything[start : start + 2000]
            answer = client.post("/v1/records", json={"records": rows}).json()
            accepted += answer["accepted"]
            assert answer["accepted"] + answer["duplicates"] == len(rows), answer["refused"][:3]
        assert accepted <= len(sent) - len(acknowledged)
        altered = [{**sent[name], "latency_s": 3.0} for name in sorted(acknowledged)[:50]]
        refused = client.post("/v1/records", json={"records": altered}).json()["refused"]
        assert {entry["code"] for entry in refused} == {"id_conflict"}
        assert len(refused) == len(altered)
    assert running.stop() == 0
    running.cli("audit", "--until", "2026-01-01")  # takes in what the last drain had no time for
    place = Home(running.home)
    found = ParquetArchive(place.archive, place.quarantine).read("m", DAY).ids.tolist()
    assert sorted(found) == sorted(sent)
    assert not list(place.quarantine.rglob("*.seg"))


def test_sigterm_seals_the_journal_and_frees_the_lock(home_for_service: Any, make_row: Any) -> None:
    running = home_for_service(environment={"AUDITOR_SERVICE_DRAIN_S": "3600"})
    running.key("ingest")
    running.start()
    with running.client("ingest") as client:
        assert client.post("/v1/records", json={"records": [make_row("s1")]}).json()["accepted"] == 1
    assert running.cli("db", "upgrade", code=2)["error"]["code"] == "writer_busy"
    assert running.stop() == 0
    assert not list((running.home / "journal").glob("*/*.open"))
    assert archived(running.home, "m") == {"s1"}, "the last drain takes in what was sealed"
    running.cli("db", "upgrade")  # a writer, again


def test_a_second_service_on_the_same_home_is_refused(served: Any) -> None:
    assert served.cli("serve", "--port", "0", code=2)["error"]["code"] == "writer_busy"
