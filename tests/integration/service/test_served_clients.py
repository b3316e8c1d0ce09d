"""Real clients against the running service: the agent over HTTP, the OpenTelemetry exporter, and what comes of it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import auditor
from auditor.core.window import Span, floor_to
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home


def rows_of(home: Any, model: str, day: datetime) -> Any:
    place = Home(home)
    start = floor_to(day, timedelta(days=1))
    return ParquetArchive(place.archive, place.quarantine).read(model, Span(start, start + timedelta(days=2)))


def test_agent_to_service_to_archive_to_audit(served: Any) -> None:
    """The whole way over HTTP: calls, a label, a tally; then a window's figures, read back over HTTP."""
    day = datetime(2026, 11, 1, 9, tzinfo=UTC)
    moments = iter(day + timedelta(minutes=i) for i in range(10_000))
    last = [day]

    def clock() -> datetime:
        last[0] = next(moments, last[0])
        return last[0]

    agent = auditor.Agent(
        "triage", version="2.0", endpoint=served.url, key=served.key("ingest", "triage"), describe="all", clock=clock
    )
    ids = []
    for number in range(30):
        with agent.inference() as record:
            record.input("note", f"patient number {number} has some pain")
            record.input("form", {"age": 40 + number})
            record.output(label="call" if number % 2 else "wait")
            record.group(site="north" if number % 3 else "south")
        ids.append(record.id)
    agent.label(ids[0], "call")
    assert agent.flush(timeout=10)
    agent.close()
    served.wait(lambda: rows_of(served.home, "triage", day).n == 30)
    served.wait(lambda: "call" in rows_of(served.home, "triage", day).truth.tolist())
    # Deliveries have ended: after a quiet while the service audits the days by itself.
    with served.client("viewer", "triage") as client:
        served.wait(lambda: client.get("/v1/measurements", params={"limit": 1}).json()["items"], 40)
        seen, after = [], None
        for _ in range(400):
            parameters = {"limit": 7, "until": "2026-11-03", **({"after": after} if after else {})}
            page = client.get("/v1/measurements", params=parameters).json()
            seen += page["items"]
            after = page["next"]
            if after is None:
                break
        assert after is None
        keys = [(item["model"], item["start"], item["id"]) for item in seen]
        assert keys == sorted(keys)
        assert len(set(keys)) == len(keys)
        assert {item["model"] for item in seen} == {"triage"}
        described = [item for item in seen if item["metric"] == "capture.described" and item["value"]]
        assert [item["value"] for item in described][:1] == [30.0], "the agent's tally travelled along"
        assert 'auditor_window_end_seconds{model="triage"}' in client.get("/metrics").text


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_opentelemetry_exporter(served: Any, compression: Compression) -> None:
    model = f"assistant-{compression.value or 'plain'}"
    exporter = OTLPSpanExporter(
        endpoint=f"{served.url}/v1/traces",
        headers={"Authorization": f"Bearer {served.key('ingest')}"},
        compression=compression,
    )
    provider = TracerProvider(resource=Resource.create({"auditor.model": model}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    messages = [{"role": "user", "parts": [{"type": "text", "content": "What is a segment?"}]}]
    with tracer.start_as_current_span("handle request"), tracer.start_as_current_span("chat gpt-4o") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.request.model", "gpt-4o")
        span.set_attribute("gen_ai.response.model", "gpt-4o-2026")
        span.set_attribute("gen_ai.usage.input_tokens", 12)
        span.set_attribute("gen_ai.input.messages", json.dumps(messages))
    provider.shutdown()
    today = datetime.now(UTC)
    rows = served.wait(lambda: (found := rows_of(served.home, model, today)).n and found)
    assert rows.n == 1, "the span around it is no call of a model"
    assert rows.version.tolist() == ["gpt-4o-2026"]
    assert rows.numeric["inputs.prompt.descriptors.words"].tolist() == [4.0]
    assert rows.numeric["output.tokens.input"].tolist() == [12.0]


def test_otlp_json_by_hand_and_again(served: Any) -> None:
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "chat",
        "startTimeUnixNano": "1767603600000000000",
        "endTimeUnixNano": "1767603600500000000",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "by-hand"}},
        ],
    }
    nameless = {**span, "spanId": "b7ad6b7169203332", "attributes": span["attributes"][:1]}  # type: ignore[index]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span, nameless]}]}]}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with served.client("ingest") as client:
        for _ in range(2):
            answer = client.post("/v1/traces", content=gzip.compress(body), headers=headers)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
            assert "no_model" in answer.json()["partialSuccess"]["errorMessage"]
        served.wait(lambda: rows_of(served.home, "by-hand", datetime(2026, 1, 5, tzinfo=UTC)).n == 1)
        assert client.post("/v1/traces", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        protobuf = {"Content-Type": "application/x-protobuf"}
        assert client.post("/v1/traces", content=b"\xff\xff", headers=protobuf).json()["error"]["code"] == "bad_otlp"
        empty = client.post("/v1/traces", content=b"", headers=protobuf)
        assert (empty.status_code, empty.content, empty.headers["content-type"]) == (200, b"", "application/x-protobuf")
    with served.client("ingest", "another") as client:
        assert client.post("/v1/traces", content=gzip.compress(body), headers=headers).status_code == 403


@pytest.mark.parametrize("inside_first", [True, False], ids=["the client's span first", "the framework's span first"])
def test_two_spans_of_one_call_are_one_record_with_its_contents(served: Any, inside_first: bool) -> None:
    """A framework's span without contents around the span of the client that it calls, in two exports with a drain between."""
    model = f"nested-{inside_first}".lower()
    content = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "two words"}]}])

    def span(identifier: str, parent: str, **more: str) -> dict[str, Any]:
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "auditor.model": model, **more}
        return {
            "traceId": ("a" if inside_first else "b") * 32,
            "spanId": identifier,
            "parentSpanId": parent,
            "name": "chat",
            "startTimeUnixNano": "1767603600000000000",
            "endTimeUnixNano": "1767603600500000000",
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in said.items()],
        }

    spans = [span("1" * 16, "2" * 16, **{"gen_ai.input.messages": content}), span("2" * 16, "")]
    day = datetime(2026, 1, 5, tzinfo=UTC)
    with served.client("ingest") as client:
        for number, one in enumerate(spans if inside_first else reversed(spans)):
            body = {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}
            assert client.post("/v1/traces", json=body).status_code == 200
            if number == 0:
                served.wait(lambda: rows_of(served.home, model, day).n == 1, 60)
        marker = {**span("3" * 16, ""), "traceId": ("c" if inside_first else "d") * 32}
        client.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": [marker]}]}]})

    def words() -> list[float] | None:
        rows = rows_of(served.home, model, day)
        found = rows.numeric.get("inputs.prompt.descriptors.words")
        return None if rows.n != 2 or found is None else sorted(found[~np.isnan(found)].tolist())

    assert served.wait(words, 60) == [2.0]


def test_a_pin_over_http_is_a_command_on_record(served: Any, make_row: Any) -> None:
    with served.client() as client:
        assert (
            client.post("/v1/records", json={"records": [make_row(f"p{i}", "pinned") for i in range(40)]}).status_code
            == 200
        )
        served.wait(lambda: any(i["name"] == "pinned" for i in client.get("/v1/models").json()["items"]))
        pin = {
            "kind": "baseline.pin",
            "by": "ada",
            "payload": {"model": "pinned", "since": "2026-01-05", "until": "2026-01-06"},
        }
        answer = client.post("/v1/commands", json=pin)
        assert answer.status_code == 200, answer.text
        found = served.wait(lambda: served.cli("baseline", "list", "--model", "pinned")["items"])
        assert found[0]["n"] == 40
        assert found[0]["by"] == answer.json()["by"]
        served.wait(lambda: not list((served.home / "journal").glob("pending-*")))  # let go once applied
        for bad in ({"model": "pinned"}, {"model": "pinned", "since": "2026-01-06", "until": "2026-01-05"}):
            assert client.post("/v1/commands", json={"kind": "baseline.pin", "payload": bad}).status_code == 400


def test_questions_that_make_no_sense(served: Any) -> None:
    with served.client("viewer") as client:
        for query in (
            "limit=0",
            "limit=1001",
            "limit=x",
            "since=yesterday",
            "after=xyz",
            "after=W10=",
            "modle=m",
            "since=0001-01-01T00:00:00%2B23:00",
        ):
            answer = client.get(f"/v1/measurements?{query}")
            assert answer.status_code == 400, (query, answer.text)
            assert answer.json()["error"]["code"] in ("bad_query", "bad_time", "bad_cursor")
        assert client.get("/v1/alerts?state=opened").status_code == 400
        assert client.get("/v1/measurements?model=nobody").json()["items"] == []
