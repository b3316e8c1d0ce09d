"""Texts: length, make-up, language, readability, and indicators of mood, insult, repetition and personal data."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import category, figure, number, refuse_type, share, with_libraries
from auditor.descriptors._language import language_of
from auditor.descriptors._lexicons import COMMON_ENGLISH
from auditor.descriptors._personal import personal_counts
from auditor.descriptors._tone import seems_english, tone
from auditor.descriptors._words import compose
from auditor.ports import DescriptorColumn

MAX_CHARACTERS = 20_000
"""Only so much of a text is looked at; `chars` counts all of it."""
_SENTENCE_END = re.compile(r"[.!?…。！？।؟]+(?=\s|$|[\"'”»)])|[。！？]")
_WESTERN_END = re.compile(r"[.!?…।؟](?=[\s\"'”»)]|\Z)")
"""The same where no full-width mark is: a run of marks ends a sentence at its last one."""
_FULL_WIDTH = re.compile(r"[。！？]")
_SYLLABLE = re.compile(r"[aeiouy]++(?!(?<=[^le]e)\Z)")
"""A group of vowels, but for a silent e at the end (not `le`, not `ee`)."""


class TextDescriptor:
    """Describes a str, or UTF-8 bytes. Nothing of the text itself comes out.

    Readability and rare words are English: None for a text that is not. Sentiment and insults are English, too, and also
    given for texts too short for their language whose words are mostly English ones. Words follow Unicode's word
    boundaries (UAX 29), without numbers; scripts without spaces between words (Chinese, Hiragana, Thai) count characters.
    The language is that of function words and letters, where they tell; else of lingua, where it is installed
    (`auditor[language]`), else `und`. Telephone numbers are checked by phonenumbers where it is installed
    (`auditor[text]`), else by their form. The version names both libraries where they are used.
    """

    modality = "text"
    title = "Text"
    headline = "Text changed"
    advice = "Read recent texts beside texts of the baseline: a new language, template, form or population of writers?"
    version = with_libraries("2", "lingua", "phonenumbers")
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
        category("language", "ISO 639-1 code; `und` when words and letters do not tell."),
        number("readability", "1", "Flesch reading ease: 100 very easy, 0 very hard; English only."),
        number("sentiment", "1", "Positive minus negative words, per word, negation counted; small English lexicon."),
        number("toxic_share", "1", "Insults and threats of a small English lexicon, per word; an indicator."),
        number("rare_word_share", "1", "Share of words outside a frozen list of common English words; English only."),
        number("repetition", "1", "Share of three-word sequences that came before: loops; none under three words."),
        number("word_entropy", "bit", "Entropy of the distribution of the words."),
        number("email_count", "{match}", "E-mail addresses, international ones included."),
        number(
            "phone_count", "{match}", "Telephone numbers: international, or national by their form or a word before."
        ),
        number("iban_count", "{match}", "Bank account numbers of a valid length with valid check digits (ISO 13616)."),
        number("card_count", "{match}", "Payment card numbers in a network's range with a valid check digit (Luhn)."),
        number("ip_count", "{match}", "Valid IPv4 and IPv6 addresses that are no version numbers."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no text. The empty text has lengths of 0 and no shares."""
        text = _text_of(value)
        part = text[:MAX_CHARACTERS]
        if not part.isascii():
            part = unicodedata.normalize("NFC", part)
        made = compose(part)
        words, n = made.words, len(made.words)
        kinds = Counter(words)
        language = language_of(part, kinds, made.letters, made.script) if words else None
        sentences = max(1, _sentences(part)) if words else 0
        return {
            "chars": figure(len(text)),
            "words": float(n),
            "sentences": float(sentences),
            "word_length": figure(share(made.word_characters, n)),
            "sentence_length": figure(share(n, sentences)),
            "upper_share": figure(share(made.upper, made.alphabetic)),
            "digit_share": figure(share(made.digits, len(part))),
            "punctuation_share": figure(share(made.other, len(part))),
            **_english_figures(part, kinds, n, sentences, language, made.script),
            "repetition": figure(_repetition(words)),
            "word_entropy": figure(_entropy(kinds, n)),
            **personal_counts(part, made.digits),
            "script": made.script,
            "language": language,
        }


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DescribeError("decode_failed", "the bytes are not UTF-8", fix="give a str") from error
    raise refuse_type(value, "text")


def _sentences(text: str) -> int:
    wide = not text.isascii() and _FULL_WIDTH.search(text)
    return len((_SENTENCE_END if wide else _WESTERN_END).findall(text))


def _english_figures(
    text: str, kinds: Mapping[str, int], n: int, sentences: int, language: str | None, script: str | None
) -> dict[str, Scalar]:
    """What only English lexicons and the English formula of Flesch (1948) can say; syllables are groups of vowels."""
    found: dict[str, Scalar] = dict.fromkeys(("readability", "sentiment", "toxic_share", "rare_word_share"))
    if language == "en":
        syllables = rare = 0
        for word, count in kinds.items():
            known = _BEATS.get(word)
            rare += count if known is None else 0
            syllables += count * (known or _syllables(word))
        found["readability"] = figure(206.835 - 1.015 * n / sentences - 84.6 * syllables / n)
        found["rare_word_share"] = figure(rare / n)
    elif script != "Latin" or n > _SHORT or not seems_english(kinds):
        return found
    mood, toxic = tone(text, kinds)
    found.update(sentiment=figure(mood / n), toxic_share=figure(toxic / n))
    return found


_SHORT = 6
"""Words up to which a text's language is a guess, whoever makes it."""


def _syllables(word: str) -> int:
    return len(_SYLLABLE.findall(word)) or 1


_BEATS = {word: _syllables(word) for word in COMMON_ENGLISH}


def _repetition(words: Sequence[str]) -> float | None:
    triples = max(0, len(words) - 2)
    return share(triples - len(set(zip(words, words[1:], words[2:]))), triples)


def _entropy(kinds: Mapping[str, int], n: int) -> float | None:
    if not n:
        return None
    return abs(math.log2(n) - sum(map(_surprise, kinds.values())) / n)


def _surprise(count: int) -> float:
    return _SURPRISES[count] if count < len(_SURPRISES) else count * math.log2(count)


_SURPRISES = [0.0, *(count * math.log2(count) for count in range(1, 256))]
PLUGIN = TextDescriptor()
