"""Invariants of judging: unknown is never a pass, order does not matter, silence never heals, the budget holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import registry
from auditor.audit.alerting import alerts_for
from auditor.audit.judge import judge
from auditor.core.measurement import Status
from auditor.core.verdict import State, Word
from auditor.core.window import Span
from auditor.policy.loader import PolicySet
from auditor.policy.nodes import read_text
from auditor.policy.read import read_document
from auditor.policy.schema import Policy
from auditor.testing import make_measurement

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
TEXT = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: p, version: "1"}
spec:
  budget: {false_pages: 0.05, per: P90D}
  defaults: {window: {minSamples: {total: 100}, maxStaleness: 2d}}
  controls:
    - id: budgeted
      title: B
      basis: internal
      evidence: {kind: metric, metric: drift.ks, where: {modality: image}}
      significance: budget
      condition: {op: lte, value: 0.15}
      for: FOR
      clear: {value: 0.1, for: CLEAR}
    - id: plain
      title: P
      basis: internal
      evidence: {kind: metric, metric: drift.ks, where: {modality: image}}
      condition: {op: lte, value: 0.15}
"""


def policies(for_=0, clear=0):
    (node,) = read_text(TEXT.replace("FOR", f"{for_}d").replace("CLEAR", f"{clear}d"))
    policy = read_document(node, registry.vocabulary())
    assert isinstance(policy, Policy)
    return PolicySet(policies=(policy,))


figures = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["photo", "thumb"]),
        st.floats(0, 1),
        st.sampled_from([None, 1e-30, 1e-6, 1e-3, 0.5]),
        st.sampled_from([50, 400]),
    ),
)
days = st.lists(st.lists(figures, max_size=5), min_size=1, max_size=8)


def measure(day, rows):
    start, found = START + day * DAY, {}
    for row in rows:
        if row is None:
            key, fields = ("d", "photo"), {"status": Status.INSUFFICIENT_DATA, "reason": "absent_in_window", "n": 0}
        else:
            key = row[:2]
            fields = {"value": row[2], "p_value": row[3], "n": row[4]}
        attributes = {"column": key[0], "input": key[1], "modality": "image"}
        found[key] = make_measurement(start=start, attributes=attributes, **fields)
    return list(found.values())


def replay(traffic, for_=0, clear=0, turn=False):
    memory, history = {}, []
    for day, rows in enumerate(traffic):
        span = Span(START + day * DAY, START + (day + 1) * DAY)
        measurements = measure(day, rows)
        found = judge(
            policies(for_, clear),
            measurements[::-1] if turn else measurements,
            list(memory.values())[:: -1 if turn else 1],
            model="digit-reader",
            span=span,
            now=span.end,
            run="r",
            revision=1,
        )
        history.append((measurements, dict(memory), found))
        memory.update({verdict.key: verdict for verdict in found})
    return history


@settings(max_examples=60, derandomize=True, deadline=None)
@given(days, st.integers(0, 2), st.integers(0, 2))
def test_a_pass_rests_on_figures_that_all_keep_the_rule(traffic, for_, clear):
    for measurements, before, found in replay(traffic, for_, clear):
        for verdict in found:
            own = [m for m in measurements if m.attributes["input"] == verdict.input]
            if verdict.verdict is Word.PASS:
                assert own
                assert all(m.status is Status.OK and m.n >= 100 and m.value <= 0.15 for m in own)
                assert set(verdict.evidence) == {m.id for m in own}
            if not any(m.status is Status.OK for m in own):
                held = before.get(verdict.key)
                state = held.state if held is not None else State.OK
                assert verdict.state is state
                wanted = Word.FAIL if state in (State.FIRING, State.RECOVERING) else Word.INSUFFICIENT_EVIDENCE
                assert verdict.verdict is wanted
            if verdict.verdict is Word.INSUFFICIENT_EVIDENCE:
                assert verdict.reason


@settings(max_examples=40, derandomize=True, deadline=None)
@given(days)
def test_the_order_of_evidence_and_memory_does_not_matter(traffic):
    assert [found for _, _, found in replay(traffic)] == [found for _, _, found in replay(traffic, turn=True)]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(days, st.integers(0, 2))
def test_a_budgeted_breach_is_beyond_the_limit_and_within_the_allowance(traffic, for_):
    for measurements, before, found in replay(traffic, for_):
        tested = [m for m in measurements if m.p_value is not None]
        alpha = 0.05 / 90 / max(len(tested), 1)
        budgeted = [verdict for verdict in found if verdict.control == "budgeted"]
        assert sum(verdict.budget_share or 0.0 for verdict in budgeted) <= 0.05 + 1e-12
        for verdict in budgeted:
            was = before.get(verdict.key)
            if verdict.state is State.FIRING and (was is None or was.state in (State.OK, State.PENDING)):
                own = [m for m in tested if m.attributes["input"] == verdict.input]
                assert any(m.value > 0.15 and m.p_value <= alpha and m.n >= 100 for m in own)
                assert verdict.reason == "breach"


@settings(max_examples=60, derandomize=True, deadline=None)
@given(days, st.integers(0, 2), st.integers(0, 2))
def test_alerts_follow_the_states(traffic, for_, clear):
    standing = {}
    for _, _, found in replay(traffic, for_, clear):
        change = alerts_for(list(standing.values()), found)
        for alert in (*change.opened, *change.renewed):
            standing[alert.key] = alert
        for alert in change.resolved:
            del standing[alert.key]
        for verdict in found:
            if verdict.state in (State.FIRING, State.RECOVERING):
                assert standing[verdict.key].opened <= verdict.end
            else:
                assert verdict.key not in standing
