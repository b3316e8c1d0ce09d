"""Records that look alike take a short way into the archive: it leads to the same place, whatever stands among them."""

import copy
import json
import random
from pathlib import Path

import msgspec
import pytest

from auditor.intake import contents, shapes
from auditor.intake.compaction import joined
from auditor.intake.contents import Contents
from auditor.segments import Frame, Segment

WORDS = ["", "a", "é", "null", "NaN", "x" * 2001, "\u0000", "2026-01-05T09:00:00Z"]
NUMBERS = [0, -0.0, 1, 2.5, 1e-7, 1e22, 123456789012345678, 2**70, -1, 1e308, 3.5e38, True, None, *WORDS[:3]]
TIMES = [
    "2026-01-05T09:00:00Z",
    "2026-01-05T10:00:00.123456+01:00",
    "2026-01-06T00:00:00.5Z",
    "2026-01-05 09:00:00Z",
    "2026-01-05T09:00:00",
    "1969-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    7,
    None,
]
ODD = [None, True, 0, 2.5, "x", "", [], {}, [1.0], {"a": 1}, [None], "x" * 201]


def template(chance):
    """A record of some model, with some of the fields that there are."""
    inputs = []
    for name in chance.sample(["photo", "clip", "note", "a.b"], chance.randint(0, 3)):
        entry = {"name": name, "modality": chance.choice(["image", "audio", "text"])}
        if chance.random() < 0.8:
            names = chance.sample(["c0", "c1", "c10", "é", "a b", "kind", "self", "f0"], chance.randint(0, 5))
            entry["descriptors"] = {key: chance.choice([0.5, 0.5, 0.5, "word", None]) for key in names}
        for key, value in (
            ("missing", True),
            ("error", "e"),
            ("encoder", "e/1"),
            ("describer", "d"),
            ("commitment", "c"),
        ):
            if chance.random() < 0.2:
                entry[key] = value
        for key in ("embedding", "scores"):
            if chance.random() < 0.2:
                entry[key] = [0.25] * chance.randint(1, 3)
        inputs.append(entry)
    record = {"id": "", "time": TIMES[0], "model": {"name": chance.choice(["m", "n"])}, "inputs": inputs}
    if chance.random() < 0.5:
        record["model"]["version"] = "1"
    more = {
        "output": {"label": "7", "scores": [0.5, 0.5], "value": 2.0, "refused": False, "tokens": {"input": 3}},
        "groups": {"site": "north", "age group": None},
        "source": {"session": "s", "fork": 0, "seq": 1},
        "subject": "p",
        "sampling": 0.5,
        "latency_s": 0.01,
        "energy": {"joules": 1.0, "method": "modelled", "by": {"photo": 0.5}},
    }
    for key, value in more.items():
        if chance.random() < 0.5:
            record[key] = copy.deepcopy(value)
    output = record.get("output")
    if output is not None:
        for key in list(output):
            if chance.random() < 0.4:
                del output[key]
        if chance.random() < 0.3:
            output["text"] = {"descriptors": {"words": 3.0, "tone": "calm"}, "embedding": [1.0, 2.0]}
    return record


def spread(chance, value):
    """The same shape with other values."""
    if isinstance(value, dict):
        return {key: spread(chance, entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [spread(chance, entry) for entry in value]
    return round(chance.uniform(0.01, 1), 5) if type(value) is float else value


def spoil(chance, value):
    """Something, somewhere, is another thing, gone, added or spelled otherwise."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        value = dict(value)
        key = chance.choice(list(value))
        what = chance.random()
        if what < 0.15:
            del value[key]
        elif what < 0.3:
            value[chance.choice(["colour", "error", "missing", "groups", "c0", "sensitive"])] = chance.choice(ODD)
        elif what < 0.4:
            value = dict(reversed(value.items()))
        elif key == "time":
            value[key] = chance.choice(TIMES)
        else:
            value[key] = spoil(chance, value[key])
        return value
    if isinstance(value, list) and value and chance.random() < 0.7:
        value = list(value)
        place = chance.randrange(len(value))
        if chance.random() < 0.3:
            return [*value, value[place]]
        value[place] = spoil(chance, value[place])
        return value
    return chance.choice(NUMBERS if isinstance(value, float) else ODD + NUMBERS)


def payload(chance, data):
    """(kind, bytes), now and then damaged or with a key twice."""
    if chance.random() < 0.3:
        if isinstance(data, dict) and data.get("latency_s") and chance.random() < 0.1:
            data = {**data, "latency_s": chance.choice([float("nan"), float("inf")])}
        try:
            return "packed", msgspec.msgpack.encode(data)
        except OverflowError:
            pass
    text = json.dumps(data, ensure_ascii=chance.random() < 0.5)
    if isinstance(data, dict) and chance.random() < 0.03:
        text = text[:-1] + f', "id": {json.dumps(data.get("id"))}}}'
    if chance.random() < 0.03:
        text = text[: chance.randrange(len(text))] + chance.choice(["", "}", '"', "\\ud800"])
    return "record", text.encode("utf-8", "surrogatepass")


def frames(seed):
    chance = random.Random(seed)
    templates = [template(chance) for _ in range(chance.randint(1, 3))]
    found = []
    for index in range(60):
        data = spread(chance, chance.choice(templates) if chance.random() < 0.2 else templates[0])
        data["id"] = f"r{index if chance.random() < 0.95 else chance.randrange(index + 1)}"
        data["time"] = TIMES[0][:-3] + f"{chance.randrange(60):02d}Z"
        if chance.random() < 0.1:
            data["sampling"] = 1.0
        if chance.random() < 0.35:
            data = spoil(chance, data)
        found.append(Frame(*payload(chance, data), index * 1000))
    if chance.random() < 0.5:
        found.append(found[0])
    return tuple(found)


def outcome(found):
    """Everything that a batch comes to, in a form that can be compared."""
    whole = Contents()
    whole.add(Segment(Path("a.seg"), found))
    whole.close()
    rows = sorted(
        (identifier, digest, pile.model, source)
        for pile in whole.piles
        for identifier, digest, source in zip(pile.ids, pile.digests, pile.sources, strict=True)
    )
    tables = {}
    for model in sorted({pile.model for pile in whole.piles}):
        for pile in whole.piles:
            assert pile.table["id"].to_pylist() == pile.ids
        table = joined([pile.table for pile in whole.piles if pile.model == model])
        tables[model] = {name: (table[name].type, table[name].to_pylist()) for name in sorted(table.column_names)}
    return rows, tables, whole.duplicates, [item.as_json() for item in whole.refused]


@pytest.mark.parametrize("part", range(4))
def test_the_short_way_and_the_general_way_are_one(part, monkeypatch):
    taken = 0
    real = shapes.read

    def counted(shape, kind, body):
        nonlocal taken
        row = real(shape, kind, body)
        taken += row is not None
        return row

    monkeypatch.setattr(contents, "read", counted)
    for seed in range(part * 60, part * 60 + 60):
        found = frames(seed)
        monkeypatch.setattr(shapes, "_ENOUGH", 1)
        monkeypatch.setattr(contents, "TOGETHER", 7)
        quick = outcome(found)
        monkeypatch.setattr(shapes, "_ENOUGH", 10**9)
        monkeypatch.setattr(contents, "TOGETHER", 10**9)
        assert quick == outcome(found), seed
    assert taken > 800, "too few records took the short way for this to mean anything"


def bodies(chance, found):
    """The same records, with runs of them that can stand in one body put into one."""
    packed = []
    run = []
    for frame in [*found, None]:
        if frame is not None and frame.kind == "record" and _is_json(frame.payload) and len(run) < 12:
            run.append(frame)
            continue
        if len(run) > 1 and chance.random() < 0.9:
            body = b'{"records": [' + b", ".join(one.payload for one in run) + b"]}"
            packed.append(Frame("records", body, run[0].offset))
        else:
            packed += run
        run = []
        if frame is not None:
            packed.append(frame)
    return tuple(packed)


def _has_id(frame):
    try:
        data = (msgspec.json if frame.kind == "record" else msgspec.msgpack).decode(frame.payload)
    except (msgspec.DecodeError, ValueError):
        return False
    return isinstance(data, dict) and isinstance(data.get("id"), str)


def _is_json(payload):
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
        return True
    except (msgspec.DecodeError, ValueError):
        return False


def test_a_body_written_whole_holds_the_records_that_its_rows_would(monkeypatch):
    monkeypatch.setattr(shapes, "_ENOUGH", 2)
    monkeypatch.setattr(contents, "TOGETHER", 7)
    taken = 0
    real = shapes.read_body

    def counted(shape, kind, body):
        nonlocal taken
        found = real(shape, kind, body)
        taken += found is not None
        return found

    monkeypatch.setattr(contents, "read_body", counted)
    for seed in range(240):
        chance = random.Random(seed)
        found = tuple(frame for frame in frames(seed) if _has_id(frame))  # others get one by their place
        whole = bodies(chance, found)
        first, second = outcome(found), outcome(whole)
        assert sorted(row[:3] for row in first[0]) == sorted(row[:3] for row in second[0]), seed
        assert first[1].keys() == second[1].keys()
        for model, table in first[1].items():
            assert _by_id(table) == _by_id(second[1][model]), seed
        assert first[2] == second[2]
        assert [(row["code"], row["id"]) for row in first[3]] == [(row["code"], row["id"]) for row in second[3]], seed
    assert taken > 200


def _by_id(table):
    ids = table["id"][1]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return {name: (kind, repr([values[place] for place in order])) for name, (kind, values) in table.items()}


def test_records_that_do_not_look_alike_are_not_tried_for_ever(monkeypatch):
    tried = 0
    real = shapes.read

    def counted(shape, kind, body):
        nonlocal tried
        tried += 1
        return real(shape, kind, body)

    monkeypatch.setattr(shapes, "read", counted)
    known = shapes.Shapes()
    for index in range(2000):
        body = json.dumps({**template(random.Random(0)), "id": str(index), "groups": {f"g{index % 100}": "x"}}).encode()
        if known.read(lambda shape, body=body: shapes.read(shape, "record", body)) is None:
            known.learn(msgspec.json.decode(body, type=contents.schema.Record))
    assert tried < 4 * 300
