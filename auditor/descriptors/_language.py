"""Script and language of a text: by its letters and commonest words, and by lingua where it is installed."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from auditor.descriptors._lexicons import COMMON_ENGLISH, FUNCTION_WORDS, SCRIPT_LANGUAGE, SCRIPTS, TELLING_LETTERS

UNDETERMINED = "und"
CONTENT = 0.4
"""Vote of a common English word that is no function word: captions and commands have few of those."""
_STARTS = [first for first, _, _ in SCRIPTS]
_VOTED = ("Latin", "Cyrillic", "Arabic", "Devanagari")
"""Scripts of several languages."""
EVIDENCE = 2
"""Words, or one letter, that the winner needs: one word alone is too often one of another language, too."""
LEADS = ((1.5, 0.5), (1.2, 1.0))
"""How many times the votes of the runner-up, and how many votes more, the winner has at least."""
_ROUNDING = 1e-9
PRIOR, LIBRARY_LEAD = 0.2, 0.05
"""Weight of a vote beside the library's confidences, which sum to 1; and the lead that its winner needs."""
LIBRARY_CHARACTERS = 500
LIBRARY_LANGUAGES = (
    "en de fr es it pt nl sv da nb fi pl cs sk ro hu tr id vi ru uk bg sr el ar fa he hi ur bn ta te th ja zh ko ka hy"
)


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


def language_of(text: str, words: Mapping[str, int], letters: Mapping[str, int], script: str | None) -> str:
    """ISO 639-1 code of the language of a text, given its lower-case words with their counts; or `und`.

    Where several languages share a script, function words vote, each shared one with the inverse of the number of languages
    that share it, and telling letters vote once each. The winner needs `EVIDENCE` and a clear lead; else lingua's
    trigrams decide, the votes beside them, where it is installed. Letters of ASCII tell nothing: they may stand in
    `letters` as one.
    """
    if script not in _VOTED:
        return SCRIPT_LANGUAGE.get(script or "", UNDETERMINED)
    votes: dict[str, float] = {}
    evidence: dict[str, int] = {}
    for word in words.keys() & _WEIGHTS.keys():
        for language, weight in _WEIGHTS[word]:
            votes[language] = votes.get(language, 0.0) + weight * words[word]
            evidence[language] = evidence.get(language, 0) + 1
    for letter in letters.keys() & TELLING_LETTERS.keys():
        language = TELLING_LETTERS[letter]
        votes[language] = votes.get(language, 0.0) + 1.0
        evidence[language] = EVIDENCE
    best, lead, second = _winner(votes)
    sure = evidence.get(best, 0) >= EVIDENCE and votes[best] >= 1.0 - _ROUNDING
    clear = any(lead >= max(least, (times - 1) * second) - _ROUNDING for times, least in LEADS)
    return best if sure and clear else _library_language(text, votes)


def _winner(scores: Mapping[str, float]) -> tuple[str, float, float]:
    """The language of the highest score, its lead, and the next score."""
    ranked = sorted(scores.items(), key=lambda score: (-score[1], score[0]))[:2]
    if not ranked:
        return UNDETERMINED, 0.0, 0.0
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    return ranked[0][0], ranked[0][1] - second, second


def _library_language(text: str, votes: Mapping[str, float]) -> str:
    """By lingua's trigrams, of 30 MB; its longer models are a little better and take 500 MB and seconds to load."""
    detector = _detector()
    if detector is None:
        return UNDETERMINED
    scores: dict[str, float] = {}
    for found in detector.compute_language_confidence_values(text[:LIBRARY_CHARACTERS]):
        code = found.language.iso_code_639_1.name.lower()
        code = "no" if code == "nb" else code
        scores[code] = found.value + PRIOR * votes.get(code, 0.0)
    best, lead, _ = _winner(scores)
    return best if lead > LIBRARY_LEAD else UNDETERMINED


@functools.cache
def _detector() -> Any:
    try:
        import lingua
    except ImportError:
        return None
    codes = (getattr(lingua.IsoCode639_1, code.upper()) for code in LIBRARY_LANGUAGES.split())
    return lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_low_accuracy_mode().build()
