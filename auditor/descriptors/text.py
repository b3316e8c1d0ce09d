"""Texts: length, make-up, language, readability, and indicators of mood, insult, repetition and personal data."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import category, figure, number, refuse_type, share
from auditor.descriptors._language import ENGLISH_VOTES, language_of, main_script, surely_english
from auditor.descriptors._lexicons import COMMON_ENGLISH, NEGATIVE, POSITIVE, TELLING_LETTERS, TOXIC
from auditor.descriptors._personal import personal_counts
from auditor.ports import DescriptorColumn

MAX_CHARACTERS = 20_000
"""Only so much of a text is looked at; `chars` counts all of it."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]+(?=\s|$|[\"'”»)])|[。！？]")
_WESTERN_END = re.compile(r"[.!?…।؟](?=[\s\"'”»)]|\Z)")
"""The same where no full-width mark is: a run of marks ends a sentence at its last one."""
_FULL_WIDTH = re.compile(r"[。！？]")
_SYLLABLE = re.compile(r"[aeiouy]++(?!(?<=[^le]e)\Z)")
"""A group of vowels, but for a silent e at the end (not `le`, not `ee`)."""
_HAN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]")

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_CURLY, _MARK = "’", "\x01"
"""The apostrophe that is not ASCII, and the character that stands for it where a text is looked at as bytes."""
_KEPT = f"'{_MARK}"
_FOLD = bytes(
    ord(chr(code).lower()) if code < 128 and (chr(code).isalpha() or chr(code) in _KEPT) else 32 for code in range(256)
)
"""Letters in lower case, apostrophes, and spaces for everything else."""
_OUTSIDE = re.compile(f"[{_KEPT}](?:(?<![a-z].)|(?![a-z]))")
"""Apostrophes that stand in no word."""
_SPACES = bytes(code for code in range(128) if chr(code).isspace())
_UPPER, _LETTERS, _DIGITS = (
    letters.encode() for letters in (string.ascii_uppercase, string.ascii_letters, string.digits)
)


class TextDescriptor:
    """Describes a str, or UTF-8 bytes. Nothing of the text itself comes out.

    Readability, sentiment, insults and rare words are English: None for a text that is not English. Scripts without spaces
    between words (Chinese, Japanese) count characters as words.
    """

    modality = "text"
    title = "Text"
    headline = "Text changed"
    advice = "Read recent texts beside texts of the baseline: a new language, template, form or population of writers?"
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("chars", "{character}", "Characters, all of them."),
        number("words", "{word}", "Words in the first 20 000 characters."),
        number("sentences", "{sentence}", "Sentences there."),
        number("word_length", "{character}", "Mean length of a word."),
        number("sentence_length", "{word}", "Mean words of a sentence."),
        number("upper_share", "1", "Share of letters that are capitals."),
        number("digit_share", "1", "Share of characters that are digits."),
        number("punctuation_share", "1", "Share of characters that are neither letters, digits nor space."),
        category("script", "Unicode script of most letters; none without letters."),
        category("language", "ISO 639-1 code by commonest words and letters; `und` when they do not tell."),
        number("readability", "1", "Flesch reading ease: 100 very easy, 0 very hard; English only."),
        number("sentiment", "1", "Positive minus negative words, per word; small English lexicon."),
        number("toxic_share", "1", "Share of words from a small English lexicon of insults; an indicator."),
        number("rare_word_share", "1", "Share of words outside a frozen list of common English words; English only."),
        number("repetition", "1", "Share of three-word sequences that came before: loops; none under three words."),
        number("word_entropy", "bit", "Entropy of the distribution of the words."),
        number("email_count", "{match}", "Strings that look like e-mail addresses."),
        number("phone_count", "{match}", "Strings that look like telephone numbers."),
        number("iban_count", "{match}", "Bank account numbers with valid check digits (ISO 13616)."),
        number("card_count", "{match}", "Payment card numbers with a valid check digit (Luhn)."),
        number("ip_count", "{match}", "Valid IPv4 and IPv6 addresses."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no text. The empty text has lengths of 0 and no shares."""
        text = _text_of(value)
        part = text[:MAX_CHARACTERS]
        look = _look(part)
        words, n = look.words, len(look.words)
        kinds = Counter(words)
        language, english = _language(look, kinds) if words else (None, _NO_ENGLISH)
        sentences = max(1, _sentences(part)) if words else 0
        figures: dict[str, Scalar] = {
            # Whole numbers of at most 7 digits are figures already.
            "chars": figure(len(text)),
            "words": float(n),
            "sentences": float(sentences),
            "word_length": figure(share(sum(map(len, words)) + look.shrunk, n)),
            "sentence_length": figure(share(n, sentences)),
            "upper_share": figure(share(look.upper, look.alphabetic)),
            "digit_share": figure(share(look.digits, len(part))),
            "punctuation_share": figure(share(look.other, len(part))),
            **_english_figures(kinds, n, sentences, english if language == "en" else None),
            "repetition": figure(_repetition(words)),
            "word_entropy": figure(_entropy(kinds, n)),
            **personal_counts(part, look.digits),
            "script": look.script,
            "language": language,
        }
        return figures


class _Look(NamedTuple):
    """What a text is made of.

    Attributes
    ----------
    words : list of str
        In lower case.
    shrunk : int
        Characters of the words as they are written, beyond those of `words`.
    script : str or None
        Of most letters.
    letters : dict of str to int
        Lower-case letters with their counts, all those of ASCII as one.
    alphabetic, upper, digits, other : int
        Letters, capitals, digits, and characters that are neither letters, digits nor space.
    """

    words: list[str]
    shrunk: int
    script: str | None
    letters: dict[str, int]
    alphabetic: int
    upper: int
    digits: int
    other: int


class _English(NamedTuple):
    """Syllables of the common English words of a text, and its other words, with how often each occurs."""

    syllables: int
    rare: list[tuple[str, int]]


_NO_ENGLISH = _English(0, [])


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DescribeError("decode_failed", "the bytes are not UTF-8", fix="give a str") from error
    raise refuse_type(value, "text")


def _look(text: str) -> _Look:
    """What is ASCII is counted as bytes, all at once, and the rest character by character."""
    plain = text.encode("ascii", "ignore")
    rest = plain.translate(None, _LETTERS)
    marks = rest.translate(None, _SPACES)
    total = len(plain) - len(rest)
    upper = len(plain) - len(plain.translate(None, _UPPER)) if total else 0
    other = len(marks.translate(None, _DIGITS))
    digits = len(marks) - other
    letters = {"a": total} if total else {}
    foreign = False
    if len(plain) < len(text):
        for character, count in Counter(_NOT_ASCII.findall(text)).items():
            foreign = foreign or character.isalnum()
            if character.isalpha():
                total += count
                upper += count * character.isupper()
                low = character.lower()[0]
                letters[low] = letters.get(low, 0) + count
            elif character.isdigit():
                digits += count
            elif not character.isspace():
                other += count
    words, shrunk = _foreign_words(text) if foreign or _MARK in text else (_words(text), 0)
    return _Look(words, shrunk, main_script(letters), letters, total, upper, digits, other)


def _words(text: str) -> list[str]:
    """Words in lower case, of a text all of whose letters and digits are ASCII."""
    plain = text.replace(_CURLY, _MARK).encode("ascii", "replace")
    folded = plain.translate(_FOLD).decode()
    if "'" in folded or _MARK in folded:
        folded = _OUTSIDE.sub(" ", folded)
    return folded.split()


def _foreign_words(text: str) -> tuple[list[str], int]:
    """Words of any text in lower case, and how many characters they are shorter than they are written."""
    written = _WORD.findall(_HAN.sub(lambda match: f" {match.group()} ", text) if _HAN.search(text) else text)
    words = [word.lower() for word in written]
    return words, sum(map(len, written)) - sum(map(len, words))


def _sentences(text: str) -> int:
    wide = not text.isascii() and _FULL_WIDTH.search(text)
    return len((_SENTENCE_END if wide else _WESTERN_END).findall(text))


def _language(look: _Look, kinds: Mapping[str, int]) -> tuple[str, _English]:
    """The language of a text with words; and its words as English has them, which most texts are: found in one go."""
    if look.script != "Latin":
        return language_of(look.words, look.letters, look.script), _NO_ENGLISH
    syllables = 0
    votes = others = 0.0
    rare = []
    for word, count in kinds.items():
        known = _KNOWN.get(word)
        if known is None:
            rare.append((word, count))
            continue
        beats, for_english, for_other = known
        if beats:
            syllables += count * beats
        else:
            rare.append((word, count))
        votes += count * for_english
        others += count * for_other
    sure = surely_english(votes, others) and TELLING_LETTERS.keys().isdisjoint(look.letters)
    language = "en" if sure else language_of(look.words, look.letters, look.script)
    return language, _English(syllables, rare)


def _english_figures(kinds: Mapping[str, int], n: int, sentences: int, english: _English | None) -> dict[str, Scalar]:
    """What only English lexicons and the English formula of Flesch (1948) can say; syllables are groups of vowels."""
    if english is None:
        return dict.fromkeys(("readability", "sentiment", "toxic_share", "rare_word_share"))
    syllables, rare = english
    mood = toxic = 0
    syllables += sum(count * _syllables(word) for word, count in rare)
    if not _TELLING.isdisjoint(kinds):
        mood = sum(count * ((word in POSITIVE) - (word in NEGATIVE)) for word, count in kinds.items())
        toxic = sum(count for word, count in kinds.items() if word in TOXIC)
    return {
        "readability": figure(206.835 - 1.015 * n / sentences - 84.6 * syllables / n),
        "sentiment": figure(mood / n),
        "toxic_share": figure(toxic / n),
        "rare_word_share": figure(sum(count for _, count in rare) / n),
    }


def _syllables(word: str) -> int:
    return len(_SYLLABLE.findall(word)) or 1


def _repetition(words: Sequence[str]) -> float | None:
    triples = max(0, len(words) - 2)
    return share(triples - len(set(zip(words, words[1:], words[2:]))), triples)


def _entropy(kinds: Mapping[str, int], n: int) -> float | None:
    if not n:
        return None
    return abs(math.log2(n) - sum(map(_surprise, kinds.values())) / n)


def _surprise(count: int) -> float:
    return _SURPRISES[count] if count < len(_SURPRISES) else count * math.log2(count)


_KNOWN = {
    word: (_syllables(word) if word in COMMON_ENGLISH else 0, *ENGLISH_VOTES.get(word, (0.0, 0.0)))
    for word in COMMON_ENGLISH | ENGLISH_VOTES.keys()
}
"""Syllables of a word, none when it is no common English one; and its votes: for English, and for another language."""
_TELLING = POSITIVE | NEGATIVE | TOXIC
_SURPRISES = [0.0, *(count * math.log2(count) for count in range(1, 256))]
PLUGIN = TextDescriptor()
