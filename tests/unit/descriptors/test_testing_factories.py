"""The public factories give valid objects, and synthetic traffic shows the faults that were dialled in."""

import numpy as np
import pytest

from auditor.core.gate import parse_label, parse_record
from auditor.core.measurement import Measurement, Status
from auditor.core.verdict import Alert, Verdict
from auditor.testing import (
    FrozenClock,
    make_alert,
    make_audit,
    make_label,
    make_measurement,
    make_record,
    make_records,
    make_rows,
    make_verdict,
)


def test_every_factory_survives_its_json():
    audit = make_audit()
    assert parse_record(make_record().as_json()) == make_record()
    assert parse_label(make_label().as_json()) == make_label()
    for measurement in audit.measurements:
        assert Measurement.from_json(measurement.as_json()) == measurement
    for verdict in (*audit.verdicts, make_verdict(slice="site=north")):
        assert Verdict.from_json(verdict.as_json()) == verdict
    for alert in (*audit.alerts.opened, make_alert(state="resolved")):
        assert Alert.from_json(alert.as_json()) == alert


def test_ids_follow_from_what_tells_objects_apart():
    assert make_measurement().id == make_measurement(value=0.3).id
    assert make_measurement().id != make_measurement(revision=1).id
    assert make_verdict().id != make_verdict(input="clip").id


def test_an_absent_measurement_needs_no_value():
    measurement = make_measurement(status=Status.NOT_APPLICABLE, reason="one_group")
    assert measurement.value is None
    assert measurement.p_value is None


def test_records_are_the_rows():
    rows = make_rows(40, 5, missing=0.3)
    records, labels = make_records(40, 5, missing=0.3)
    assert [record.id for record in records] == rows.ids.tolist() == sorted(rows.ids)
    assert all(parse_record(record.as_json()) == record for record in records)
    assert len(labels) == sum(truth is not None for truth in rows.truth)
    gone = [record.inputs[1].missing for record in records]
    assert 0 < sum(gone) < 40
    assert np.isnan(rows.vectors["inputs.clip.scores"][gone]).all()


@pytest.mark.parametrize(
    ("options", "column", "low", "high"),
    [({"darken": 0.8}, "inputs.photo.descriptors.brightness", 0.76, 0.84)],
)
def test_darkening_shows(options, column, low, high):
    ratio = make_rows(2000, 1, **options).numeric[column].mean() / make_rows(2000, 1).numeric[column].mean()
    assert low < ratio < high


def test_repaired_clips_leave_each_input_alone_but_part_them():
    clean, parted = make_rows(2000, 1), make_rows(2000, 1, repaired=0.5)

    def concordance(rows):
        return (rows.vectors["inputs.photo.scores"] * rows.vectors["inputs.clip.scores"]).sum(axis=1).mean()

    assert concordance(parted) < 0.75 * concordance(clean)
    before, after = (rows.vectors["inputs.clip.scores"].max(axis=1).mean() for rows in (clean, parted))
    assert abs(before - after) < 0.01


def test_a_group_can_be_confused():
    rows = make_rows(4000, 1, confuse={"speaker=theo": 0.4}, labelled=1.0)
    right = rows.categorical["output.label"] == rows.truth
    assert right[rows.groups["speaker"] == "theo"].mean() < 0.75
    assert right[rows.groups["speaker"] != "theo"].mean() > 0.9


def test_a_frozen_clock_moves_when_told_to():
    clock = FrozenClock()
    first = clock()
    assert clock() == first
    assert (clock.advance("15m") - first).total_seconds() == 900
    assert clock.set(first) == clock() == first
