"""What no change of a policy, of evidence or of a waiver may do, over many of them."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "unit" / "policy"))
from policy_factory import DAY, START, Judged, controls, policy_set

from auditor.core.verdict import Word
from auditor.core.window import format_time
from auditor.testing import make_measurement

CALM = (Word.PASS, Word.NOT_APPLICABLE)
FIGURES = st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 0.4])), min_size=1, max_size=8)
RULE = """\
- id: c
  title: C
  basis: internal
  evidence: {{kind: metric, metric: quality.error}}
  condition: {{op: {op}, value: {limit}}}
  for: {for_}d
  clear: {{for: {clear}d}}
  window: {{maxStaleness: 2d}}
"""


def words(text: tuple[str, ...], figures: list[float | None]) -> list[Word]:
    days = Judged(policy_set(*text))
    found = []
    for figure in figures:
        evidence = (
            []
            if figure is None
            else [make_measurement(metric="quality.error", value=figure, n=500, start=days.start, end=days.start + DAY)]
        )
        found += [verdict.verdict for verdict in days.next(*evidence).values()]
    return found


@settings(max_examples=60, deadline=None)
@given(
    FIGURES,
    st.sampled_from(["lte", "gte"]),
    st.sampled_from([0.05, 0.1, 0.2]),
    st.sampled_from([0.02, 0.06, 0.11]),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_tighter_limit_never_turns_fail_into_pass(figures, op, limit, by, for_, clear):
    tighter = limit - by if op == "lte" else limit + by
    loose, tight = (
        words((controls(RULE.format(op=op, limit=value, for_=for_, clear=clear)),), figures)
        for value in (limit, tighter)
    )
    assert [(a, b) for a, b in zip(loose, tight, strict=True) if a is Word.FAIL and b in CALM] == []


@settings(max_examples=60, deadline=None)
@given(FIGURES, st.data(), st.integers(0, 2), st.integers(0, 2))
def test_less_evidence_never_calms(figures, data, for_, clear):
    gone = data.draw(st.integers(0, len(figures) - 1))
    text = (controls(RULE.format(op="lte", limit=0.1, for_=for_, clear=clear)),)
    found = words(text, [None if i == gone else figure for i, figure in enumerate(figures)])
    assert found[gone] not in CALM


FACTS = ("public_body", "public_service", "generates_content")
CONDITION = st.recursive(
    st.builds(lambda name, value: f"{{{name}: {str(value).lower()}}}", st.sampled_from(FACTS), st.booleans()),
    lambda inner: st.builds(
        lambda word, parts: f"{{{word}: [{', '.join(parts)}]}}",
        st.sampled_from(["all", "any", "not"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(CONDITION, st.dictionaries(st.sampled_from(FACTS), st.booleans(), min_size=1), st.data())
def test_a_fact_less_never_calms(condition, facts, data):
    gone = data.draw(st.sampled_from(sorted(facts)))

    def judged(declared: dict[str, bool]) -> Word:
        own = ", ".join(f"{name}: {str(value).lower()}" for name, value in declared.items())
        profile = (
            "apiVersion: auditor/v1\nkind: SystemProfile\nmetadata: {name: s}\n"
            f"spec: {{models: [digit-reader], roles: [provider], route: annex_iii, facts: {{{own}}}}}\n"
        )
        rule = RULE.format(op="lte", limit=0.1, for_=0, clear=0) + f"  appliesWhen: {condition}\n"
        return words((controls(rule), profile), [0.05])[0]

    before, after = judged(facts), judged({name: value for name, value in facts.items() if name != gone})
    assert after not in CALM or after is before


@settings(max_examples=60, deadline=None)
@given(st.integers(-5, 5), st.integers(1, 10), st.integers(1, 6), st.booleans())
def test_an_expired_waiver_never_waives(approved, length, cap, sliced):
    start = START + approved * DAY
    waiver = (
        "apiVersion: auditor/v1\nkind: Waiver\nmetadata: {name: w}\n"
        "spec: {control: c, reason: r, requestedBy: {name: A, role: x}, approvedBy: {name: B, role: y}, "
        f"approvedOn: {format_time(start)}, expires: {format_time(start + length * DAY)}"
        + (", slice: overall" if sliced else "")
        + "}\n"
    )
    text = controls(RULE.format(op="lte", limit=0.1, for_=0, clear=0), f"waiverRules: {{maxDuration: {cap}d}}\n")
    end = start + timedelta(days=min(length, cap))
    for i, word in enumerate(words((text, waiver), [0.4] * 8)):
        at = START + (i + 1) * DAY
        assert word is (Word.WAIVED if start <= at < end else Word.FAIL)
