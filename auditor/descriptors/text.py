"""Texts: length, make-up, language, readability, and indicators of mood, insult, repetition and personal data."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import category, figure, number, refuse_type, share
from auditor.descriptors._language import language_of, main_script
from auditor.descriptors._lexicons import COMMON_ENGLISH, NEGATIVE, POSITIVE, TOXIC
from auditor.descriptors._personal import personal_counts
from auditor.ports import DescriptorColumn

MAX_CHARACTERS = 20_000
"""Only so much of a text is looked at; `chars` counts all of it."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]+(?=\s|$|[\"'”»)])|[。！？]")
_VOWELS = re.compile(r"[aeiouy]+")
_HAN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]")


class TextDescriptor:
    """Describes a str, or UTF-8 bytes. Nothing of the text itself comes out.

    Readability, sentiment, insults and rare words are English: None for a text that is not English. Scripts without spaces
    between words (Chinese, Japanese) count characters as words.
    """

    modality = "text"
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
        characters = Counter(part)
        words = _words(part)
        lower = [word.lower() for word in words]
        letters, makeup = _makeup(characters, len(part))
        script = main_script(letters)
        language = language_of(lower, letters, script) if words else None
        sentences = max(1, len(_SENTENCE_END.findall(part))) if words else 0
        numbers: dict[str, Any] = {
            "chars": len(text),
            "words": len(words),
            "sentences": sentences,
            "word_length": share(sum(map(len, words)), len(words)),
            "sentence_length": share(len(words), sentences),
            **makeup,
            **_english(lower, sentences, language == "en"),
            "repetition": _repetition(lower),
            "word_entropy": _entropy(Counter(lower)),
            **personal_counts(part, bool(makeup["digit_share"])),
        }
        figures: dict[str, Scalar] = {name: figure(number) for name, number in numbers.items()}
        figures.update(script=script, language=language)
        return figures


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DescribeError("decode_failed", "the bytes are not UTF-8", fix="give a str") from error
    raise refuse_type(value, "text")


def _words(text: str) -> list[str]:
    if text.isascii() or not _HAN.search(text):
        return _WORD.findall(text)
    return _WORD.findall(_HAN.sub(lambda match: f" {match.group()} ", text))


def _makeup(characters: Mapping[str, int], n: int) -> tuple[dict[str, int], dict[str, float | None]]:
    """Letters (lower case) with their counts, and shares of kinds of characters."""
    letters: dict[str, int] = {}
    upper = digits = other = total = 0
    for character, count in characters.items():
        if character.isalpha():
            total += count
            upper += count * character.isupper()
            low = character.lower()[0]
            letters[low] = letters.get(low, 0) + count
        elif character.isdigit():
            digits += count
        elif not character.isspace():
            other += count
    return letters, {
        "upper_share": share(upper, total),
        "digit_share": share(digits, n),
        "punctuation_share": share(other, n),
    }


def _english(words: Sequence[str], sentences: int, english: bool) -> dict[str, float | None]:
    """What only English lexicons and the English formula of Flesch (1948) can say; syllables are groups of vowels."""
    if not english:
        return dict.fromkeys(("readability", "sentiment", "toxic_share", "rare_word_share"))
    n = len(words)
    kinds = Counter(words)
    syllables = sum(count * _syllables(word) for word, count in kinds.items())
    mood = sum(count * ((word in POSITIVE) - (word in NEGATIVE)) for word, count in kinds.items())
    return {
        "readability": 206.835 - 1.015 * n / sentences - 84.6 * syllables / n,
        "sentiment": mood / n,
        "toxic_share": sum(count for word, count in kinds.items() if word in TOXIC) / n,
        "rare_word_share": sum(count for word, count in kinds.items() if word not in COMMON_ENGLISH) / n,
    }


def _syllables(word: str) -> int:
    groups = len(_VOWELS.findall(word))
    if groups > 1 and word.endswith("e") and not word.endswith(("le", "ee")):
        groups -= 1
    return max(1, groups)


def _repetition(words: Sequence[str]) -> float | None:
    triples = max(0, len(words) - 2)
    return share(triples - len(set(zip(words, words[1:], words[2:]))), triples)


def _entropy(counts: Mapping[str, int]) -> float | None:
    total = sum(counts.values())
    if not total:
        return None
    return abs(math.log2(total) - sum(count * math.log2(count) for count in counts.values()) / total)


PLUGIN = TextDescriptor()
