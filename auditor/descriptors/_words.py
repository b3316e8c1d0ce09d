"""Words of a text: runs of letters with their marks, after the word boundaries of Unicode (UAX 29); numbers are no words.

Han, Hiragana, Thai, Lao, Khmer and Burmese write no spaces between words: without a dictionary each character counts as one.
"""

from __future__ import annotations

import functools
import re
import string
import sys
import unicodedata
from collections import Counter
from typing import NamedTuple

from auditor.descriptors._language import main_script

_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u309f\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARK = "\x01"
"""Stands for a combining mark or joiner where a text is searched for words, and for an apostrophe in ASCII text."""
_WORD = re.compile(
    f"[{_ALONE}]{_MARK}*|[^\\W\\d_{_ALONE}](?:[^\\W\\d_{_ALONE}]|{_MARK}|['’·‧״](?=[^\\W\\d_{_ALONE}]))*"
)
_JOINERS = "\u00ad\u200c\u200d\u2060"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_CURLY = "’"
_FOLD = bytes(
    ord(chr(code).lower()) if code < 128 and (chr(code).isalpha() or chr(code) in f"'{_MARK}") else 32
    for code in range(256)
)
"""ASCII letters in lower case, apostrophes, and spaces for everything else."""
_OUTSIDE = re.compile(f"['{_MARK}](?:(?<![a-z].)|(?![a-z]))")
"""Apostrophes that stand in no word."""
_SPACES = bytes(code for code in range(128) if chr(code).isspace())
_UPPER, _LETTERS, _DIGITS = (
    letters.encode() for letters in (string.ascii_uppercase, string.ascii_letters, string.digits)
)


class Composition(NamedTuple):
    """What a text is made of.

    Attributes
    ----------
    words : list of str
        In lower case.
    word_characters : int
        Characters of the words as they are written.
    script : str or None
        Of most letters.
    letters : dict of str to int
        Lower-case letters with their counts, all those of ASCII as one.
    alphabetic, upper, digits, other : int
        Letters, capitals, digits, and characters that are neither letters, marks, digits nor space.
    """

    words: list[str]
    word_characters: int
    script: str | None
    letters: dict[str, int]
    alphabetic: int
    upper: int
    digits: int
    other: int


def compose(text: str) -> Composition:
    """Count what a text is made of: ASCII as bytes, all at once, and the rest character by character."""
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
            foreign = foreign or character.isalnum() or character in _JOINERS or unicodedata.combining(character) > 0
            if character.isalpha():
                total += count
                upper += count * character.isupper()
                low = character.lower()[0]
                letters[low] = letters.get(low, 0) + count
            elif character.isdigit():
                digits += count
            elif not (character.isspace() or character in _JOINERS or unicodedata.category(character)[0] == "M"):
                other += count
    words, length = _foreign_words(text) if foreign or _MARK in text else _ascii_words(text)
    return Composition(words, length, main_script(letters), letters, total, upper, digits, other)


def _ascii_words(text: str) -> tuple[list[str], int]:
    """Words in lower case and their characters, of a text all of whose letters and digits are ASCII."""
    folded = text.replace(_CURLY, _MARK).encode("ascii", "replace").translate(_FOLD).decode()
    if "'" in folded or _MARK in folded:
        folded = _OUTSIDE.sub(" ", folded)
    words = folded.split()
    return words, sum(map(len, words))


def _foreign_words(text: str) -> tuple[list[str], int]:
    shadow = text.translate(_extenders())
    written = [text[match.start() : match.end()] for match in _WORD.finditer(shadow)]
    return [word.lower() for word in written], sum(map(len, written))


@functools.cache
def _extenders() -> dict[int, str]:
    """Marks and joiners, which extend the letter before them; made when the first text needs it.

    Python's own classes leave them out of words, so that a search needs a letter-like stand-in.
    """
    marks = (code for code in range(0x300, min(0x1F000, sys.maxunicode)) if unicodedata.category(chr(code))[0] == "M")
    return {ord(_MARK): " "} | dict.fromkeys((*marks, *map(ord, _JOINERS), *range(0xE0100, 0xE01F0)), _MARK)
