"""Verdicts by article: what has evidence, what has a hole, and what nobody has asked about. Counts, never a score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.core.verdict import Verdict, Word
from auditor.policy.calendar import addressed, provision_of, start_for
from auditor.policy.lattice import all_of
from auditor.policy.loader import PolicySet
from auditor.policy.schema import RELATIONS, SystemProfile

NOT_COVERED = "not_covered"
POLICY_CHANGED = "policy_changed_since_judged"


@dataclass(frozen=True, slots=True)
class Article:
    """A provision with the joined word of the controls that point at it; None when there is none: never a pass.

    `relation` is the strongest one among those controls: where it is not `requires`, a pass says that evidence exists, not
    that the duty was done.
    """

    framework: str
    article: str
    verdict: Word | None
    controls: tuple[str, ...]
    relation: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "framework": self.framework,
            "article": self.article,
            "verdict": str(self.verdict) if self.verdict is not None else NOT_COVERED,
            "controls": list(self.controls),
            "relation": self.relation,
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing evidence: of a control (and its articles), of an article without a control, of a policy that changed."""

    article: str | None
    control: str | None
    reason: str
    policy: str | None = None
    """The policy that changed after it was judged; None for every other reason."""

    def as_json(self) -> dict[str, str | None]:
        found = {"article": self.article, "control": self.control, "reason": self.reason}
        return found if self.policy is None else {**found, "policy": self.policy}


def by_article(policies: PolicySet, verdicts: Sequence[Verdict], profile: SystemProfile | None = None) -> list[Article]:
    """Every provision of every calendar that a policy in force names, then the other frameworks' clauses in use.

    A word joins all slices and inputs of all controls that point at the provision (see `lattice`). A provision whose
    controls are all not applicable, or that has no date on the profile's route or addresses none of its roles, is `not_applicable`; one without controls is
    not covered.
    """
    calendars = [
        calendar
        for calendar in policies.calendars
        if any(policies.calendar(policy) is calendar for policy in policies.policies)
    ]
    pointing: dict[tuple[str, str], list[tuple[Verdict, str]]] = {}
    for verdict in verdicts:
        for ref in verdict.refs:
            provisions = [provision_of(ref, calendar) for calendar in calendars]
            at = next((provision.at for provision in provisions if provision is not None), ref.at)
            pointing.setdefault((ref.src, at), []).append((verdict, ref.relation))
    listed = {
        (calendar.src, provision.at): start_for(provision, profile) if addressed(provision, profile) else None
        for calendar in calendars
        for provision in calendar.provisions
    }
    found = []
    for key in (*listed, *sorted(set(pointing) - set(listed))):
        hits = pointing.get(key, [])
        word = all_of(verdict.verdict for verdict, _ in hits)
        if word is None and key in listed and listed[key] is None:
            word = Word.NOT_APPLICABLE
        relations = {relation for _, relation in hits}
        found.append(
            Article(
                *key,
                word,
                tuple(dict.fromkeys(verdict.control for verdict, _ in hits)),
                next((relation for relation in RELATIONS if relation in relations), None),
            )
        )
    return found


def gaps(policies: PolicySet, verdicts: Sequence[Verdict], articles: Sequence[Article], model: str) -> list[Gap]:
    """What is not known: first controls without evidence or verdict, then articles that no control covers."""
    found: list[Gap] = []
    judged: set[tuple[str, str]] = set()
    for verdict in verdicts:
        judged.add((verdict.policy, verdict.control))
        if verdict.verdict in (Word.INSUFFICIENT_EVIDENCE, Word.ERROR):
            found += [Gap(ref.at, verdict.control, verdict.reason) for ref in verdict.refs] or [
                Gap(None, verdict.control, verdict.reason)
            ]
    digests = {verdict.policy: verdict.policy_digest for verdict in verdicts}
    for policy in policies.policies:
        if policy.models and model not in policy.models:
            continue
        if policy.name in digests and digests[policy.name] != policy.digest:
            found.append(Gap(None, None, POLICY_CHANGED, policy.name))
        found += [
            Gap(None, control.id, "not_judged")
            for control in policy.controls
            if (policy.name, control.id) not in judged
        ]
    found += [Gap(article.article, None, NOT_COVERED) for article in articles if article.verdict is None]
    return list(dict.fromkeys(found))


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Verdicts by word, every word present."""
    seen = Counter(verdict.verdict for verdict in verdicts)
    return {str(word): seen[word] for word in Word}
