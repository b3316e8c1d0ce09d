"""Small policies for tests, written as people write them."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta

from auditor import registry
from auditor.audit.judge import judge
from auditor.core.catalogue import CORE_METRICS, OWN_MODALITY, MetricSpec, Vocabulary
from auditor.core.window import Span
from auditor.policy.loader import PolicySet, check
from auditor.policy.nodes import read_text
from auditor.policy.read import read_document
from auditor.policy.schema import Attestation, LegalCalendar, Policy, PolicyTest, SystemProfile, Waiver

START = datetime(2026, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MODEL = "digit-reader"

_METRICS = {
    spec.name: spec
    for spec in (
        *CORE_METRICS,
        MetricSpec("drift.ks", "1", "KS.", "higher", ("column", "input", "modality", "pair"), 0, 1, alert=OWN_MODALITY),
        MetricSpec("input.missing_rate", "1", "Missing.", "higher", ("input", "modality"), 0, 1, alert="missing"),
        MetricSpec("fairness.accuracy", "1", "Accuracy.", "lower", ("feature", "group"), 0, 1, alert="bias"),
        MetricSpec("fairness.accuracy.difference", "1", "Gap.", "higher", ("feature",), 0, 1, alert="bias"),
        MetricSpec("fairness.selection_rate.ratio", "1", "Ratio.", "lower", ("feature",), 0, 1, alert="bias"),
        MetricSpec("quality.*", "1", "Quality.", alert="quality"),
    )
}
VOCABULARY = Vocabulary(_METRICS, registry.vocabulary().modalities, registry.vocabulary().operators)

HEAD = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: p, version: "1"}
spec:
"""
CALENDAR = """\
apiVersion: auditor/v1
kind: LegalCalendar
metadata: {name: law, version: "2026"}
spec:
  src: act
  title: An act
  verifiedOn: 2026-01-01
  provisions:
    - {at: Art. 1, title: One, appliesFrom: 2025-01-01, source: s, confidence: primary}
    - {at: Art. 10, title: Ten, appliesFrom: {annex_iii: 2026-06-01, annex_i: 2027-06-01}, source: s, confidence: primary, deferredForLegacy: true}
    - {at: "Art. 10(2)", title: Ten two, appliesFrom: {gpai: 2025-06-01}, source: s, confidence: primary}
  frameworks:
    - {src: nist, title: NIST, clauses: [MEASURE]}
    - {src: free, title: Free}
"""
PROFILE = """\
apiVersion: auditor/v1
kind: SystemProfile
metadata: {name: triage}
spec:
  models: [digit-reader]
  roles: [provider]
  route: annex_iii
  modelVersion: 1.2.3
  facts: {intended_purpose: reading, public_body: true}
"""


def policy_set(*texts: str, checked: bool = True) -> PolicySet:
    """A PolicySet of YAML texts (documents separated by `---`)."""
    nodes = [node for text in texts for node in read_text(textwrap.dedent(text), "p.yaml")]
    built = [read_document(node, VOCABULARY) for node in nodes]

    def of(kind):
        return tuple(item for item in built if isinstance(item, kind))

    found = PolicySet(
        of(Policy), of(SystemProfile), of(LegalCalendar), of(Waiver), of(Attestation), of(PolicyTest), VOCABULARY
    )
    if checked:
        check(found)
    return found


def controls(body: str, spec: str = "", meta: str = "") -> str:
    """A policy of these controls; `spec` and `meta` are further lines."""
    head = HEAD.replace('version: "1"', f'version: "1"{meta}')
    return (
        head
        + textwrap.indent(textwrap.dedent(spec), "  ")
        + "  controls:\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
    )


class Judged:
    """Days judged one after the other, each remembering the last."""

    def __init__(self, policies: PolicySet, step: timedelta = DAY) -> None:
        self.policies, self.step, self.day, self.memory = policies, step, 0, {}

    @property
    def start(self) -> datetime:
        return START + self.day * self.step

    def next(self, *measurements, now: datetime | None = None):
        """Verdicts of the next window by (control, slice, input)."""
        span = Span(self.start, self.start + self.step)
        found = judge(
            self.policies,
            measurements,
            list(self.memory.values()),
            model=MODEL,
            span=span,
            now=now or span.end,
            run="run",
            revision=1,
        )
        self.memory.update({verdict.key: verdict for verdict in found})
        self.day += 1
        return {(verdict.control, verdict.slice, verdict.input): verdict for verdict in found}
