"""How much of what an input brings is new: repeated payloads look like more evidence than they are."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import Payloads, WindowState


class Repetition:
    """`input.distinct_share`: distinct payloads of all payloads of an input, told apart by their commitments.

    The fact `effective` is how many independent observations they are worth, sum c / sum c^2 for payloads seen c times: p-values of
    this input's figures are taken at that size. From 512 payloads on both are estimates from those with the smallest hashes.
    """

    version = "1"
    needs_baseline = False
    metrics = (
        MetricSpec(
            "input.distinct_share",
            "1",
            "Share of an input's payloads that are distinct.",
            "lower",
            ("input", "modality"),
            0,
            1,
            label="share of the payloads that are distinct",
            alert="missing",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by input; none for inputs whose records carry no commitments."""
        known = baseline.payloads if baseline is not None else {}
        modality = {**(baseline.modality if baseline is not None else {}), **current.modality}
        for name in sorted({*current.payloads, *known}):
            attributes = {"input": name, **({"modality": modality[name]} if name in modality else {})}
            found = current.payloads.get(name)
            if found is None:
                yield Reading(
                    metric="input.distinct_share",
                    status=Status.INSUFFICIENT_DATA,
                    reason="absent_in_window",
                    attributes=attributes,
                )
                continue
            yield Reading(
                metric="input.distinct_share",
                value=found.distinct_share,
                n=found.n,
                n_baseline=known[name].n if name in known else None,
                attributes=attributes,
                exact=found.exact,
                facts=_facts(found, known.get(name)),
            )


def _facts(now: Payloads, then: Payloads | None) -> dict[str, float]:
    effective = {"effective": now.effective_share * now.n}
    return effective if then is None else {**effective, "baseline": then.distinct_share}


PLUGIN = Repetition()
