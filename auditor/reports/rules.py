"""What the policies in force say about themselves: titles of provisions, next steps, waivers, calendars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor import wording
from auditor.core.verdict import Ref, Verdict
from auditor.policy.articles import POLICY_CHANGED, by_article
from auditor.policy.articles import gaps as policy_gaps
from auditor.policy.calendar import provision_of
from auditor.policy.loader import PolicySet
from auditor.policy.schema import LegalCalendar, SystemProfile, Waiver
from auditor.reports.model import Gap


@dataclass(frozen=True)
class Rules:
    """The policies of a home, for readers; empty when only the store is at hand."""

    policies: PolicySet | None = None

    @property
    def calendars(self) -> Sequence[LegalCalendar]:
        """Calendars that a policy in force names."""
        if self.policies is None:
            return ()
        named = [self.policies.calendar(policy) for policy in self.policies.policies]
        return list({calendar.name: calendar for calendar in named if calendar is not None}.values())

    def provision(self, source: str, at: str) -> str:
        """The title of the provision that `at` lies under, or nothing."""
        for calendar in self.calendars:
            hit = provision_of(Ref(source, at, ""), calendar)
            if hit is not None:
                return hit.title
        return ""

    def framework(self, source: str) -> str:
        """The full name of a source of provisions."""
        for calendar in self.calendars:
            if calendar.src == source:
                return calendar.title
            for framework in calendar.frameworks:
                if framework.src == source:
                    return framework.title
        return wording.vocabulary.FRAMEWORKS.get(source, source)

    def uncovered(self, verdicts: Sequence[Verdict]) -> list[tuple[str, str]]:
        """Provisions of the calendars without a control: (source, provision)."""
        if self.policies is None:
            return []
        articles = by_article(self.policies, verdicts)
        return [(article.framework, article.article) for article in articles if article.verdict is None]

    def profile(self, model: str) -> SystemProfile | None:
        """What a person declared about the system that this model belongs to."""
        return self.policies.profile(model) if self.policies is not None else None

    def waivers(self, verdicts: Sequence[Verdict]) -> list[Waiver]:
        """Waivers on file for controls that were judged."""
        judged = {verdict.control for verdict in verdicts}
        return [waiver for waiver in self.policies.waivers if waiver.control in judged] if self.policies else []

    def gaps(self, verdicts: Sequence[Verdict], model: str) -> list[Gap]:
        """Controls in force without a verdict, policies that changed since, provisions without a control."""
        if self.policies is None:
            return []
        found = []
        titles = {control.id: control.title for policy in self.policies.policies for control in policy.controls}
        for gap in policy_gaps(self.policies, verdicts, (), model):
            if gap.reason == "not_judged":
                title = titles.get(gap.control or "", gap.control or "")
                text = f"“{title}” has no verdict yet."
                found.append(
                    Gap(code="not_judged", text=text, fix="Run `auditor audit`.", control=gap.control, title=title)
                )
            elif gap.reason == POLICY_CHANGED:
                text = f"The policy {gap.policy} was changed after these verdicts: they follow its earlier text."
                found.append(Gap(code=POLICY_CHANGED, text=text, fix="Run `auditor audit` again."))
        bare = self.uncovered(verdicts)
        if bare:
            names = wording.listing([at for _, at in bare], most=60)
            many = wording.plural(len(bare), "provision")
            text = f"{many} of the legal calendar {'has' if len(bare) == 1 else 'have'} no control: {names}."
            found.append(
                Gap(code="not_covered", text=text, fix="See which of them apply; write controls or sign attestations.")
            )
        return found
