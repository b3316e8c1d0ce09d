"""The explicit form, labels, clocks, redaction, payloads the host overwrites, sampling."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

import auditor
from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_label, parse_record, parse_tally
from auditor.core.record import Record
from auditor.testing import FrozenClock


def records(agent: Any, transport: Any) -> list[Record]:
    assert agent.flush(10)
    return [parse_record(json.loads(payload)) for payload in transport.of("record")]


def test_the_explicit_form_keeps_everything_the_contract_names(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    with agent.inference(id="r-1") as record:
        record.input("photo", np.zeros((5, 5), np.uint8), scores=[0.5, 0.5])
        record.input("clip", np.zeros(400, np.float32), modality="audio", rate=8000)
        record.input("note", None, modality="text")
        record.input("vector", np.ones(4), modality="embedding", encoder="clip-1")
        record.input("odd", 3.5)
        record.output(label=3, scores=(0.1, 0.9), tokens={"input": 4, "output": 2}, finish="stop", refused=False)
        record.group(site="north", ward=None)
        record.subject("s-1")
    assert record.id == "r-1"
    agent.label(record.id, "dog")
    agent.label(record.id, 3)
    agent.label(record.id, 2.5)
    (found,) = records(agent, transport)
    assert found.id == "r-1"
    photo, clip, note, embedded, odd = found.inputs
    assert photo.scores == (0.5, 0.5)
    assert photo.commitment is not None
    assert clip.descriptors["duration_s"] == pytest.approx(0.05)
    assert (note.missing, note.modality) == (True, "text")
    assert (embedded.embedding, embedded.encoder) == ((1.0,) * 4, "clip-1")
    assert odd.error == "modality_unknown"
    output = found.output
    assert output is not None
    assert (output.label, output.scores, output.finish, output.refused) == ("3", (0.1, 0.9), "stop", False)
    assert output.tokens == {"input": 4, "output": 2}
    assert found.groups == {"site": "north", "ward": None}
    assert found.subject == "s-1"
    assert found.source is not None
    assert (found.source.fork, found.source.seq) == (0, 0)
    labels = [parse_label(json.loads(payload)) for payload in transport.of("label")]
    assert [(label.label, label.value) for label in labels] == [("dog", None), ("3", None), (None, 2.5)]
    assert agent.stats()["notes"] == {"modality_unknown": 1}
    assert agent.stats()["labels"]["delivered"] == 3


def test_errors_inside_the_block_pass_and_are_recorded(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    record = agent.inference()
    with pytest.raises(ZeroDivisionError), record:
        raise ZeroDivisionError
    (found,) = records(agent, transport)
    assert (found.id, found.output.error) == (record.id, "ZeroDivisionError")  # type: ignore[union-attr]


def test_sensitive_features_never_leave_and_are_counted(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    with agent.inference() as record:
        record.sensitive(sex="canary-value", age_band="canary-two")
    records(agent, transport)
    assert b"canary" not in b"".join(payload for _, payload in transport.frames)
    assert agent.stats()["notes"] == {"sensitive_no_vault": 2}


def test_raw_payloads_never_leave(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    model = agent.watch(lambda note, form: "CANARY-OUT " * 5, inputs={"note": "text", "form": "tabular"})
    model("CANARY-IN " * 5, {"age": 41})
    records(agent, transport)
    assert b"CANARY" not in b"".join(payload for _, payload in transport.frames)


def test_a_label_as_long_as_a_text_is_kept_back(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    agent.watch(lambda note: "word " * 100, output="label")("x")
    (found,) = records(agent, transport)
    assert found.output is not None
    assert found.output.label is None
    assert agent.stats()["notes"] == {"label_too_long": 1}


def test_the_clock_dates_records_ids_labels_and_tallies(make_agent: Any, transport: Any) -> None:
    clock = FrozenClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    agent = make_agent(clock=clock)
    model = agent.watch(lambda note: 1)
    model("before")
    clock.advance(timedelta(minutes=2))
    model("after")
    agent.label("x", "y")
    first, second = records(agent, transport)
    assert (first.time, second.time) == (
        datetime(2026, 3, 1, 23, 59, tzinfo=UTC),
        datetime(2026, 3, 2, 0, 1, tzinfo=UTC),
    )
    assert int(first.id.replace("-", "")[:12], 16) == first.time.timestamp() * 1000
    assert parse_label(json.loads(transport.of("label")[0])).time == second.time
    tallies = [parse_tally(json.loads(payload)) for payload in transport.of("tally")]
    assert [(tally.start, tally.seen) for tally in tallies] == [(first.time, 1), (second.time, 1)]


def test_a_naive_or_broken_clock_costs_the_record_only(make_agent: Any, swallowed: Any, balanced: Any) -> None:
    swallowed.expect()
    agent = make_agent(clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001
    assert agent.watch(lambda note: 5)("x") == 5
    agent.flush(5)
    assert agent.stats()["internal_errors"]["begin_failed"] == 1
    balanced(agent.stats())


def test_buffers_that_the_host_overwrites_are_described_as_they_were(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    frame = np.zeros((64, 64, 3), np.uint8)
    scores = np.zeros(2)

    @agent.watch(inputs={"frame": "image"}, extract=lambda result: {"scores": result})
    def model(frame: Any) -> Any:
        scores[:] = (frame[0, 0, 0] / 255, 1 - frame[0, 0, 0] / 255)
        frame[:] = 99  # the model spoils its input
        return scores

    for value in range(0, 250, 10):
        frame[:] = value
        model(frame)
    found = records(agent, transport)
    brightness = [record.inputs[0].descriptors["brightness"] for record in found]
    assert brightness == pytest.approx([value / 255 for value in range(0, 250, 10)], abs=1e-3)
    assert [record.output.scores[0] for record in found] == pytest.approx(  # type: ignore[union-attr,index]
        [value / 255 for value in range(0, 250, 10)]
    )


def test_redaction_comes_before_everything_and_failing_keeps_the_record_back(
    make_agent: Any, transport: Any, swallowed: Any, balanced: Any
) -> None:
    swallowed.expect()

    def redact(name: str, modality: str | None, value: Any) -> Any:
        if value == "boom":
            raise RuntimeError
        return None if name == "secret" else value[:2]

    agent = make_agent(redact=redact)
    model = agent.watch(lambda note, secret=None: "answer", inputs={"note": "text", "secret": "text"})
    model("abcdef", "hidden")
    model("boom")
    (found,) = records(agent, transport)
    note, secret = found.inputs
    assert note.descriptors["chars"] == 2
    assert (secret.error, dict(secret.descriptors), secret.commitment) == ("withheld", {}, None)
    assert found.output is not None
    assert found.output.text is not None
    assert found.output.text.descriptors["chars"] == 2
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"] == {"redaction_failed": 1}


def test_calls_that_are_not_chosen_are_counted_exactly(make_agent: Any, transport: Any, balanced: Any) -> None:
    agent = make_agent(describe="budget")
    agent._recorder.set_rate(0.25)
    model = agent.watch(lambda note: 1)
    threads = [threading.Thread(target=lambda: [model("x") for _ in range(500)]) for _ in range(4)]
    agent._budget_share = None
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agent.flush(20)
    stats = agent.stats()
    balanced(stats)
    assert stats["seen"] == 2000
    assert stats["delivered"] + stats["dropped"]["sampled"] == 2000
    assert 380 < stats["delivered"] < 620
    found = [parse_record(json.loads(payload)) for payload in transport.of("record")]
    tallies = [parse_tally(json.loads(payload)) for payload in transport.of("tally")]
    assert {record.sampling for record in found} == {0.25}
    assert sum(tally.seen for tally in tallies) == 2000
    assert max(tally.last_seq or 0 for tally in tallies) == 1999
    seqs = [record.source.seq for record in found if record.source is not None]
    assert len(set(seqs)) == len(seqs)


def test_an_agent_without_destination_counts_and_warns_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, balanced: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AUDITOR_HOME", "AUDITOR_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with caplog.at_level(logging.WARNING, "auditor"):
        agent = auditor.Agent("m")
        model = agent.watch(lambda note: 5)
        assert [model("x") for _ in range(3)] == [5, 5, 5]
        with agent.inference() as record:
            record.input("note", "x")
        agent.label(record.id, "y")
        agent.flush(5)
        agent.close(5)
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"] == {"no_destination": 4}
    assert stats["labels"]["no_destination"] == 1
    assert sum("no destination" in message for message in caplog.messages) == 1


def test_destinations_are_found_in_order(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.agent.destination import resolve

    nested = tmp_path / "project" / "deep"
    nested.mkdir(parents=True)
    (tmp_path / "project" / "auditor.toml").write_text("[agent]\nqueue_records = 7\n")
    monkeypatch.chdir(nested)
    for name in ("AUDITOR_HOME", "AUDITOR_ENDPOINT", "AUDITOR_KEY"):
        monkeypatch.delenv(name, raising=False)
    found = resolve(None, None, None, None)
    assert (found.kind, found.settings.home, found.settings.agent.queue_records) == ("spool", tmp_path / "project", 7)
    monkeypatch.setenv("AUDITOR_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AUDITOR_KEY", "k")
    assert (resolve(None, None, None, None).kind, resolve(None, None, None, None).key) == ("service", "k")
    monkeypatch.setenv("AUDITOR_HOME", str(tmp_path / "other"))
    assert resolve(None, None, None, None).settings.home == tmp_path / "other"
    assert resolve(tmp_path / "given", None, None, None).settings.home == tmp_path / "given"
    with pytest.raises(ConfigurationError, match="are given"):
        resolve(tmp_path, "http://127.0.0.1:1", None, None)
    (tmp_path / "project" / "auditor.toml").write_text("not toml at all [")
    monkeypatch.delenv("AUDITOR_HOME")
    monkeypatch.delenv("AUDITOR_ENDPOINT")
    assert resolve(None, None, None, None).settings.agent.queue_records == 10_000
    with pytest.raises(ConfigurationError):
        resolve(tmp_path / "project", None, None, None)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": 3}, {"name": "m", "describe": "some"}])
def test_wrong_arguments_fail_when_the_agent_is_made(wrong: dict[str, Any], transport: Any) -> None:
    with pytest.raises(ConfigurationError):
        auditor.Agent(transport=transport, **wrong)


def test_a_closed_agent_lets_the_model_work(make_agent: Any, transport: Any, balanced: Any) -> None:
    agent = make_agent()
    model = agent.watch(lambda note: 5)
    model("a")
    assert agent.close(5)
    assert agent.close(5)
    assert model("b") == 5
    with agent.inference() as record:
        record.input("note", "x")
    stats = agent.stats()
    balanced(stats)
    assert (stats["seen"], stats["delivered"], stats["dropped"]) == (3, 1, {"closed": 2})
    assert transport.closed
