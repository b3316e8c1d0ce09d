"""Figures of texts take short ways where a text allows it: to the last bit they are what the definition, spelled out, gives."""

import math
import random
import re
from collections import Counter

import pytest

from auditor.descriptors import _personal as personal
from auditor.descriptors._common import figure
from auditor.descriptors._language import _WEIGHTS, language_of, main_script
from auditor.descriptors._lexicons import COMMON_ENGLISH, FUNCTION_WORDS, NEGATIVE, POSITIVE, TELLING_LETTERS, TOXIC
from auditor.descriptors.text import PLUGIN

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?…。！？।؟]+(?=\s|$|[\"'”»)])|[。！？]")
HAN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff]")
ODD = "’'‘“”—…•.!?。！？।؟»)\"'\x01\x00\t\n\u00a0\u2003²½_-:@0123456789ßñİΣσςéÀǅкїъپ中カ・ーa\u0301\U0001f600\ud800KAEIOUeeyl"
SNIPPETS = [
    "4111111111111111",
    "GB82 WEST 1234 5698 7654 32",
    "192.168.1.1",
    "::1",
    "fe80::1",
    "a@b.co",
    "+49 151 2345678",
    "don't",
    "don’t",
    "''a'b'",
    "12:30:45",
    "2026-01-02",
    "O'Neill’s",
]


def defined(text):
    words = WORD.findall(HAN.sub(lambda match: f" {match.group()} ", text))
    lower = [word.lower() for word in words]
    kinds, n = Counter(lower), len(words)
    letters = Counter(c.lower()[0] for c in text if c.isalpha())
    script = main_script(letters)
    spoken = language(lower, letters, script) if words else None
    sentences = max(1, len(SENTENCE_END.findall(text))) if words else 0
    digits = sum(c.isdigit() for c in text)
    other = sum(not (c.isalpha() or c.isdigit() or c.isspace()) for c in text)
    numbers = {
        "chars": len(text),
        "words": n,
        "sentences": sentences,
        "word_length": sum(map(len, words)) / n if n else None,
        "sentence_length": n / sentences if sentences else None,
        "upper_share": sum(c.isupper() for c in text if c.isalpha()) / letters.total() if letters else None,
        "digit_share": digits / len(text) if text else None,
        "punctuation_share": other / len(text) if text else None,
        **dict.fromkeys(("readability", "sentiment", "toxic_share", "rare_word_share")),
        "repetition": (n - 2 - len({*zip(lower, lower[1:], lower[2:], strict=False)})) / (n - 2) if n > 2 else None,
        "word_entropy": abs(math.log2(n) - sum(k * math.log2(k) for k in kinds.values()) / n) if n else None,
        **personal_counts(text, digits > 0),
    }
    if spoken == "en":
        numbers["readability"] = 206.835 - 1.015 * n / sentences - 84.6 * sum(map(syllables, lower)) / n
        numbers["sentiment"] = sum((word in POSITIVE) - (word in NEGATIVE) for word in lower) / n
        numbers["toxic_share"] = sum(word in TOXIC for word in lower) / n
        numbers["rare_word_share"] = sum(word not in COMMON_ENGLISH for word in lower) / n
    figures = {name: figure(number) for name, number in numbers.items()}
    return {**figures, "script": script, "language": spoken}


def syllables(word):
    groups = len(re.findall("[aeiouy]+", word))
    return max(1, groups - (groups > 1 and word.endswith("e") and not word.endswith(("le", "ee"))))


def language(words, letters, script):
    if script != "Latin":
        return language_of(words, letters, script)
    votes = {}
    for word in words:
        for name, weight in _WEIGHTS.get(word, ()):
            votes[name] = votes.get(name, 0.0) + weight
    for letter, name in TELLING_LETTERS.items():
        if letter in letters:
            votes[name] = votes.get(name, 0.0) + 1.0
    ranked = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    first, second = ranked[0][1] if ranked else 0.0, ranked[1][1] if len(ranked) > 1 else 0.0
    return ranked[0][0] if first >= 1.0 and first >= 1.2 * second else "und"


def personal_counts(text, has_digits):
    found = {
        "email_count": len(personal._EMAIL.findall(text)),
        "phone_count": 0,
        "iban_count": 0,
        "card_count": 0,
        "ip_count": sum(personal._is_address(match.group()) for match in personal._IPV6.finditer(text)),
    }
    if has_digits:
        text, found["iban_count"] = personal._take(personal._IBAN, text, personal.iban)
        text, found["card_count"] = personal._take(personal._CARD, text, personal._is_card)
        text, addresses = personal._take(personal._IPV4, text, personal._is_address)
        found["ip_count"] += addresses
        found["phone_count"] = sum(personal._is_phone(match.group()) for match in personal._PHONE.finditer(text))
    return found


def some_text(chance):
    def word():
        pick = chance.random()
        if pick < 0.03:
            return chance.choice(SNIPPETS)
        made = chance.choice(lexicon)
        return made.title() if pick < 0.2 else made + chance.choice(ODD) if pick < 0.25 else made

    kind = chance.random()
    if kind < 0.3:
        return "".join(chance.choice(ODD) for _ in range(chance.randrange(60)))
    if kind < 0.4:
        return "".join(chr(chance.randrange(chance.choice((0x250, 0x2100, 0x110000)))) for _ in range(40))
    if kind < 0.5:
        return "".join(chr(chance.randrange(128)) for _ in range(chance.randrange(200)))
    languages = list(FUNCTION_WORDS) if kind < 0.7 else ["en"]
    lexicon = FUNCTION_WORDS[chance.choice(languages)].split()
    if kind > 0.8:
        lexicon = [*lexicon, *chance.sample(ENGLISH, 200)]
    return " ".join(word() for _ in range(chance.randrange(1, 60)))


ENGLISH = sorted(COMMON_ENGLISH | POSITIVE | NEGATIVE | TOXIC)


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_the_definition(seed):
    chance = random.Random(seed)
    for _ in range(1000):
        text = some_text(chance)
        found = dict(PLUGIN.describe(text))
        assert list(map(repr, found.items())) == list(map(repr, defined(text).items())), text


def test_votes_that_round_to_a_draw_are_counted_in_the_order_of_the_words():
    """Sums of thirds and fifths reach a whole vote, or miss it by a bit, by their order."""
    shared = sorted(word for word, votes in _WEIGHTS.items() if len(votes) > 1 and word.isascii())
    chance = random.Random(1)
    for _ in range(2000):
        words = [chance.choice(shared) for _ in range(chance.randrange(1, 9))]
        assert PLUGIN.describe(" ".join(words))["language"] == language(words, {"a": 1}, "Latin"), words
