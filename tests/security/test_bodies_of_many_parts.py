"""Bodies made to cost: each is refused, or taken, within a second of CPU time and 64 MiB."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hostile_bodies import bodies

RUN = """
import resource, sys
from datetime import UTC, datetime
from auditor.core.errors import AuditorError
from auditor.intake import otlp
from auditor.service.bodies import gunzip
from auditor.service.limits import check_export, check_marks
from auditor.service.parsing import parse_labels, parse_records
from auditor.service.settle import Recent, settle
from auditor.service.access import Principal
import msgspec, google.protobuf, opentelemetry.proto.collector.trace.v1.trace_service_pb2
kind, body = sys.argv[1], sys.stdin.buffer.read()
def used():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
peak, began, code, listed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, used(), "taken", 0
try:
    kind, _, packing = kind.partition("+")
    if packing:
        body = gunzip(body, 16 << 20)
    if kind == "protobuf":
        check_export(body)
        otlp.read_spans(body, otlp.PROTOBUF)
    elif kind == "otlp":
        check_marks(body)
        otlp.read_spans(body, otlp.JSON)
    else:
        media = "application/msgpack" if kind == "packed" else "application/json"
        batch = parse_labels(body, media, datetime.now(UTC)) if kind == "labels" else parse_records(body, media)
        listed = len(batch.refused)
        code = f"{batch.refused_count} refused"
except AuditorError as error:
    code = error.code
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
print(code, listed, round(used() - began, 3), round(grown, 1), sep=";")
"""


@pytest.mark.parametrize("name", bodies())
def test_a_body_made_to_cost_is_cheap(name: str) -> None:
    kind, body = bodies()[name]
    done = subprocess.run([sys.executable, "-c", RUN, kind], input=body, capture_output=True, check=True)
    code, listed, seconds, grown = done.stdout.decode().strip().split(";")
    print(f"{name:28} {len(body) / 2**20:6.1f} MiB  {code:16} {float(seconds):6.3f} s CPU  {float(grown):+7.1f} MiB")
    assert int(listed) <= 100
    assert float(grown) <= 64
    assert float(seconds) <= 1.0 or os.environ.get("CI")
