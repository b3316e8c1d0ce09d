"""How verdict words join: a bounded semilattice, so that order, grouping and repetition cannot matter.

    fail > error > insufficient_evidence > warn > waived > pass > not_applicable

The worst word wins. `not_applicable` is the identity, `fail` absorbs everything; an empty set has no word at all.
"""

from __future__ import annotations

from collections.abc import Iterable

from auditor.core.verdict import Word

ORDER: tuple[Word, ...] = (
    Word.NOT_APPLICABLE,
    Word.PASS,
    Word.WAIVED,
    Word.WARN,
    Word.INSUFFICIENT_EVIDENCE,
    Word.ERROR,
    Word.FAIL,
)
"""From harmless to worst."""
_RANK = {word: rank for rank, word in enumerate(ORDER)}


def all_of(words: Iterable[Word]) -> Word | None:
    """The word of a set in which every member must hold; None for an empty set, which is never a pass."""
    return max(words, key=_RANK.__getitem__, default=None)
