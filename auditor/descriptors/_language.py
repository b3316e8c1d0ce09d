"""Script and language of a text by its letters and commonest words: small, offline, honest about what it cannot tell."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from auditor.descriptors._lexicons import COMMON_ENGLISH, FUNCTION_WORDS, SCRIPT_LANGUAGE, SCRIPTS, TELLING_LETTERS

UNDETERMINED = "und"
CONTENT = 0.4
"""Vote of a common English word that is no function word: captions and commands have few of those."""
_ROUNDING = 1e-9
"""Relative; sums of 20 000 words stay well below it."""
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

ENGLISH_VOTES: dict[str, tuple[float, float]] = {
    word: (dict(votes).get("en", 0.0), max((weight for language, weight in votes if language != "en"), default=0.0))
    for word, votes in _WEIGHTS.items()
}
"""Votes of a word for English, and the most that it has for any other language."""


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


def surely_english(votes: float, others: float) -> bool:
    """Whether `language_of` says English of a text with so many votes for it, at most so many for another, and no telling
    letter.

    False when it is close, too: there, rounding decides, and with it the order of the words.

    >>> surely_english(1.5, 0.5), surely_english(1.0, 0.0)
    (True, False)
    """
    return votes > 1.0 + _ROUNDING * votes and votes > (1.2 + _ROUNDING) * others


def language_of(words: Iterable[str], letters: Mapping[str, int], script: str | None) -> str:
    """ISO 639-1 code of the language of lower-case `words`, or `und`.

    Latin script: function words vote, each shared one with the inverse of the number of languages that share it, and
    telling letters vote once each; the winner needs one full vote and a fifth more than the runner-up. Letters of ASCII
    tell nothing: they may stand in `letters` as one.
    """
    if script == "Cyrillic":
        return _cyrillic(letters)
    if script == "Arabic":
        return "fa" if any(letter in letters for letter in _PERSIAN) else "ar"
    if script != "Latin":
        return SCRIPT_LANGUAGE.get(script or "", UNDETERMINED)
    votes: dict[str, float] = {}
    for word in words:
        for language, weight in _WEIGHTS.get(word, ()):
            votes[language] = votes.get(language, 0.0) + weight
    for letter, language in TELLING_LETTERS.items():
        if letter in letters:
            votes[language] = votes.get(language, 0.0) + 1.0
    if not votes:
        return UNDETERMINED
    ranked = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    best, second = ranked[0], ranked[1][1] if len(ranked) > 1 else 0.0
    return best[0] if best[1] >= 1.0 and best[1] >= 1.2 * second else UNDETERMINED


def _cyrillic(letters: Mapping[str, int]) -> str:
    for language, telling in _CYRILLIC:
        if any(letter in letters for letter in telling):
            return language
    # Bulgarian alone does without these two letters, and uses the hard sign as a vowel.
    if "ы" not in letters and "э" not in letters and "ъ" in letters:
        return "bg"
    return "ru"
