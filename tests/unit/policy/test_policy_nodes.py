"""YAML with lines, without surprises."""

from __future__ import annotations

import pytest

from auditor.core.errors import PolicyError
from auditor.policy.nodes import MAX_BYTES, read_file, read_text


def plain(text):
    return [node.plain() for node in read_text(text)]


def test_scalars_follow_yaml_1_2():
    text = "a: no\nb: on\nc: 2026-01-31\nd: 1_000\ne: 0o17\nf: 12:30:00\ng: ~\nh: 3e-4\ni: .5\nj: '1'\nk: True\n"
    assert plain(text) == [
        {
            "a": "no",
            "b": "on",
            "c": "2026-01-31",
            "d": "1_000",
            "e": "0o17",
            "f": "12:30:00",
            "g": None,
            "h": 3e-4,
            "i": 0.5,
            "j": "1",
            "k": True,
        }
    ]


def test_documents_and_lines():
    nodes = read_text("a: 1\n---\nb:\n  - x\n  - c: 2\n---\n")
    assert [node.line for node in nodes] == [1, 3]
    assert nodes[1].value["b"].value[1].value["c"].where == "<text>:5"
    assert nodes[1].at_key("b") == "<text>:3"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\na: 2", "duplicate_key", 2),
        ("a: &x 1", "yaml_alias", 1),
        ("a: 1\nb: *a", "yaml_alias", 2),
        ("a: !!python/object/apply:os.system [echo]", "yaml_tag", 1),
        ("a: !!str 1", "yaml_tag", 1),
        ("a: .nan", "not_finite", 1),
        ("a: 1e999", "not_finite", 1),
        ("a: [1,\n", "bad_yaml", 2),
        ("[a, b]: 1", "bad_yaml", 1),
        ("a: " + "[" * 60 + "]" * 60, "too_deep", 1),
    ],
)
def test_refusals_name_the_line(text, code, line):
    with pytest.raises(PolicyError) as caught:
        read_text(text, "p.yaml")
    assert (caught.value.code, caught.value.where) == (code, f"p.yaml:{line}")
    assert caught.value.fix


def test_long_digits_stay_text_and_big_files_are_refused(tmp_path):
    assert plain("a: " + "9" * 5000) == [{"a": "9" * 5000}]
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(PolicyError) as caught:
        read_file(path)
    assert caught.value.code == "too_large"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError) as caught:
        read_file(path)
    assert caught.value.code == "unreadable"
