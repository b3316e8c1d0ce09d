"""Mood and abuse of an English text by word lists, with negation: indicators of change, not judgements of one text."""

from __future__ import annotations

import re
from collections.abc import Mapping

from auditor.descriptors._lexicons import COMMON_ENGLISH, NAMES, NEGATIVE, POSITIVE, TOXIC

_REACH = 4
"""Words before an expression in which a negation counts."""
_NEGATIONS = frozenset("not never nobody none neither nor without cannot cant dont isnt wasnt arent no hardly".split())  # noqa: SIM905
_ORDERS = frozenset(("don't", "dont", "do", "stop"))
_TOKEN = re.compile(r"[^\W\d_]+(?:['’*][^\W\d_]+)*|[.!?;:,\n]")
_STOPS = frozenset(".!?;:,\n") | {"but"}
_THREATS = re.compile(
    r"\b(?:(?:go )?(?:kill|hang) (?:yourself|yourselves|urself)|kys|(?:go|just|please) die|hope (?:you|they|he|she) die"
    r"|drop dead|shut (?:the \w+ )?up|shut your (?:mouth|face|trap)|(?:go|rot|burn) (?:to|in) hell|piss off|get lost"
    r"|i hate (?:you|them|him|her)|screw you|you(?: are|'re|’re| r) (?:trash|garbage|disgusting|ugly|pathetic|a pig))\b"
    r"|\b(?:f[*@#u]+c?k|s[*@#]+t|b[*@#]+tch|a[*@#]+hole)\w*",
    re.IGNORECASE,
)
_STARTS = frozenset(
    ("shut", "hang", "kill", "die", "kys", "drop", "hell", "piss", "lost", "hate", "screw", "you", "dead")
)
TELLING = POSITIVE | NEGATIVE | TOXIC | NAMES
_KNOWN = TELLING | COMMON_ENGLISH | _NEGATIONS | _STARTS


def seems_english(kinds: Mapping[str, int]) -> bool:
    """Whether at least half of the distinct words of a text too short for its language are known English ones."""
    return 2 * sum(word in _KNOWN for word in kinds) >= len(kinds)


def tone(text: str, kinds: Mapping[str, int]) -> tuple[int, int]:
    """(positive minus negative words, insults among the negative ones; abusive words and phrases).

    A negation up to four words before, in the same clause, turns a mood and cancels an insult: "not good" is negative, "not
    an idiot" is no abuse. An insult that is a name, too, counts in lower case or after "a", "you".
    """
    phrases = 0
    if not _STARTS.isdisjoint(kinds) or "*" in text or "@" in text or "#" in text:
        found = list(_THREATS.finditer(text))
        phrases = len(found)
        if found:
            text = _THREATS.sub(" . ", text)
    if TELLING.isdisjoint(kinds):
        return 0, phrases
    mood = 0
    clause: list[str] = []
    shouted = text.upper() == text
    for written in _TOKEN.findall(text):
        word = written.lower().replace("’", "'")
        if word in _STOPS:
            clause = []
            continue
        abusive = word in TOXIC or (word in NAMES and (shouted or written.islower()))
        sign = (word in POSITIVE) - (abusive or word in NEGATIVE)
        if sign or abusive:
            negated = any(other in _NEGATIONS or other.endswith("n't") for other in clause[-_REACH:])
            negated = negated and not (abusive and clause[0] in _ORDERS and "be" in clause)  # "don't be such a ..."
            mood += -sign if negated else sign
            phrases += abusive and not negated
        clause.append(word)
    return mood, phrases
