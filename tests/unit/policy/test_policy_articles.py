"""Articles: joined words, what is not covered, and the gap register."""

from __future__ import annotations

from policy_factory import CALENDAR, MODEL, PROFILE, controls, policy_set

from auditor.core.verdict import Ref, Word
from auditor.policy.articles import by_article, counts, gaps
from auditor.testing import make_verdict

BODY = "".join(
    f"- id: {name}\n  title: C\n  basis: binding\n  thresholdSource: x\n"
    f"  refs: [{{src: act, at: {at}, relation: evidences}}, {{src: nist, at: MEASURE 2.4, relation: supports}}]\n"
    "  evidence: {kind: metric, metric: drift.ks}\n  condition: {op: lte, value: 0.1}\n"
    for name, at in (("a", '"Art. 10(3)"'), ("b", '"Art. 10"'), ("c", "Art. 1"))
)
POLICIES = policy_set(controls(BODY, meta=", calendar: law"), CALENDAR, PROFILE)
POLICY = POLICIES.policies[0]


def verdict(control, word, **fields):
    return make_verdict(
        policy="p",
        policy_digest=POLICY.digest,
        control=control,
        refs=POLICY.control(control).refs,
        verdict=word,
        reason="" if word is Word.PASS else "no_data",
        **fields,
    )


def test_words_join_over_slices_inputs_and_controls():
    verdicts = [
        verdict("a", Word.PASS),
        verdict("a", Word.INSUFFICIENT_EVIDENCE, input="clip"),
        verdict("b", Word.WARN),
        verdict("c", Word.PASS),
    ]
    articles = by_article(POLICIES, verdicts)
    found = {(item.framework, item.article): (item.as_json()["verdict"], item.controls) for item in articles}
    assert found == {
        ("act", "Art. 1"): ("pass", ("c",)),
        ("act", "Art. 10"): ("insufficient_evidence", ("a", "b")),
        ("act", "Art. 10(2)"): ("not_covered", ()),
        ("nist", "MEASURE 2.4"): ("insufficient_evidence", ("a", "b", "c")),
    }
    holes = [(hole.article, hole.control, hole.reason) for hole in gaps(POLICIES, verdicts, articles, MODEL)]
    assert holes == [
        ("Art. 10(3)", "a", "no_data"),
        ("MEASURE 2.4", "a", "no_data"),
        ("Art. 10(2)", None, "not_covered"),
    ]
    assert counts(verdicts)["pass"] == 2
    assert set(counts(verdicts)) == {str(word) for word in Word}


def test_controls_without_a_verdict_and_changed_policies_are_gaps():
    verdicts = [verdict("a", Word.PASS), verdict("b", Word.NOT_APPLICABLE)]
    articles = by_article(POLICIES, verdicts)
    reasons = {(hole.control, hole.reason) for hole in gaps(POLICIES, verdicts, articles, MODEL)}
    assert ("c", "not_judged") in reasons
    stale = [make_verdict(policy="p", policy_digest="0" * 64, control="a", refs=(Ref("act", "Art. 1", "evidences"),))]
    holes = gaps(POLICIES, stale, by_article(POLICIES, stale), MODEL)
    assert ("policy_changed_since_judged", "p") in {(hole.reason, hole.policy) for hole in holes}


def test_provisions_without_a_date_on_the_route_do_not_apply():
    articles = by_article(POLICIES, [verdict("a", Word.PASS)], POLICIES.profile(MODEL))
    found = {item.article: (item.as_json()["verdict"], item.relation) for item in articles}
    assert found["Art. 10(2)"] == ("not_applicable", None)  # it has a date for gpai only
    assert found["Art. 10"] == ("pass", "evidences")
    assert found["Art. 1"] == ("not_covered", None)


def test_an_article_of_not_applicable_controls_is_not_applicable():
    (one,) = [item for item in by_article(POLICIES, [verdict("c", Word.NOT_APPLICABLE)]) if item.article == "Art. 1"]
    assert one.verdict is Word.NOT_APPLICABLE
