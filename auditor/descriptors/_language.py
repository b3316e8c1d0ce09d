"""Script and language of a text by its letters and commonest words: small, offline, honest about what it cannot tell."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from math import isclose

from auditor.descriptors._lexicons import COMMON_ENGLISH, FUNCTION_WORDS, SCRIPT_LANGUAGE, SCRIPTS, TELLING_LETTERS

UNDETERMINED = "und"
CONTENT = 0.4
"""Vote of a common English word that is no function word: captions and commands have few of those."""
_STARTS = [first for first, _, _ in SCRIPTS]
_CYRILLIC = (("uk", "іїєґ"), ("be", "ў"), ("sr", "ђћџљњј"), ("bg", ""))
_PERSIAN = "پچژگ"


def _weigh() -> dict[str, tuple[tuple[str, float], ...]]:
    """Word to (language, weight): a function word of k languages counts 1 / k for each, a common English one CONTENT."""
    owners: dict[str, list[str]] = {}
    for language, words in FUNCTION_WORDS.items():
        for word in set(words.split()):
            owners.setdefault(word, []).append(language)
    weights = {word: tuple((language, 1 / len(known)) for language in known) for word, known in owners.items()}
    for word in COMMON_ENGLISH - weights.keys():
        weights[word] = (("en", CONTENT),)
    return weights


_WEIGHTS = _weigh()


def script_of(letter: str) -> str | None:
    """Unicode script of one letter, None outside the blocks that are known here."""
    code = ord(letter)
    place = bisect_right(_STARTS, code) - 1
    if place < 0 or code > SCRIPTS[place][1]:
        return None
    return SCRIPTS[place][2]


def main_script(letters: Mapping[str, int]) -> str | None:
    """The script of most letters; `Other` for letters of scripts unknown here, None without letters.

    Kana anywhere beside Han is Japanese writing and counts as `Kana`.
    """
    counts: dict[str, int] = {}
    for letter, count in letters.items():
        script = script_of(letter) or "Other"
        counts[script] = counts.get(script, 0) + count
    if not counts:
        return None
    if counts.get("Kana") and counts.get("Han", 0) >= counts["Kana"]:
        counts["Kana"] += counts.pop("Han")
    return max(sorted(counts), key=counts.__getitem__)


def language_of(words: Sequence[str], kinds: Mapping[str, int], letters: Mapping[str, int], script: str | None) -> str:
    """ISO 639-1 code of the language of lower-case `words`, or `und`.

    Latin script: function words vote, each shared one with the inverse of the number of languages that share it, and
    telling letters vote once each; the winner needs one full vote and a fifth more than the runner-up.

    Parameters
    ----------
    kinds : mapping of str to int
        How often each of the words occurs.
    letters : mapping of str to int
        Lower-case letters with their counts; one letter of ASCII may stand for all.
    """
    if script == "Cyrillic":
        return _cyrillic(letters)
    if script == "Arabic":
        return "fa" if any(letter in letters for letter in _PERSIAN) else "ar"
    if script != "Latin":
        return SCRIPT_LANGUAGE.get(script or "", UNDETERMINED)
    votes = _votes(kinds.items(), letters)
    if not votes:
        return UNDETERMINED
    first, second = _leaders(votes)
    if isclose(first, 1.0) or isclose(first, 1.2 * second):
        # So close, rounding decides, and with it the order of the words.
        votes = _votes(zip(words, repeat(1)), letters)
        first, second = _leaders(votes)
    return max(votes, key=votes.__getitem__) if first >= 1.0 and first >= 1.2 * second else UNDETERMINED


def _votes(words: Iterable[tuple[str, int]], letters: Mapping[str, int]) -> dict[str, float]:
    votes: dict[str, float] = {}
    for word, count in words:
        for language, weight in _WEIGHTS.get(word, ()):
            votes[language] = votes.get(language, 0.0) + count * weight
    if not TELLING_LETTERS.keys().isdisjoint(letters):
        for letter, language in TELLING_LETTERS.items():
            if letter in letters:
                votes[language] = votes.get(language, 0.0) + 1.0
    return votes


def _leaders(votes: Mapping[str, float]) -> tuple[float, float]:
    """The most votes that a language has, and the next."""
    ranked = sorted(votes.values())
    return ranked[-1], ranked[-2] if len(ranked) > 1 else 0.0


def _cyrillic(letters: Mapping[str, int]) -> str:
    for language, telling in _CYRILLIC:
        if any(letter in letters for letter in telling):
            return language
    # Bulgarian alone does without these two letters, and uses the hard sign as a vowel.
    if "ы" not in letters and "э" not in letters and "ъ" in letters:
        return "bg"
    return "ru"
