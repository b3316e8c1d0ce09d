"""The outbox: one JSON line an alert change."""

import json

import pytest

from auditor.core.errors import SinkError
from auditor.core.verdict import AlertChange
from auditor.sinks.jsonl import PLUGIN
from auditor.testing import check_sink, make_alert, make_audit


def test_lines_are_the_contracts_alert_with_its_event(tmp_path):
    sink = PLUGIN.configure(path=tmp_path / "deep" / "alerts.jsonl")
    opened, renewed = make_alert(), make_alert(control="audio-drift", count=3)
    resolved = make_alert(control="bias", state="resolved")
    sink.deliver(make_audit(alerts=AlertChange(opened=(opened,), renewed=(renewed,), resolved=(resolved,))), tmp_path)
    lines = [json.loads(line) for line in sink.path.read_text().splitlines()]
    assert [line.pop("event") for line in lines] == ["opened", "renewed", "resolved"]
    assert {line.pop("schema") for line in lines} == {"auditor.alert/1"}
    assert lines == [opened.as_json(), renewed.as_json(), resolved.as_json()]


def test_delivering_again_adds_nothing_and_another_window_does(tmp_path):
    sink = PLUGIN.configure(path=tmp_path / "alerts.jsonl")
    check_sink(sink, tmp_path)
    assert len(sink.path.read_text().splitlines()) == 1
    sink.deliver(make_audit(alerts=AlertChange(renewed=(make_alert(count=2),))), tmp_path)
    assert len(sink.path.read_text().splitlines()) == 2


def test_a_torn_line_is_closed(tmp_path):
    sink = PLUGIN.configure(path=tmp_path / "alerts.jsonl")
    sink.path.write_text('{"event": "ope')
    sink.deliver(make_audit(), tmp_path)
    torn, whole = sink.path.read_text().splitlines()
    assert torn == '{"event": "ope'
    assert json.loads(whole)["event"] == "opened"


def test_a_folder_in_the_way_is_a_sink_error(tmp_path):
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(path=tmp_path).deliver(make_audit(), tmp_path)
    assert caught.value.code == "outbox_unwritable"
