"""Indicators of personal data in a text: patterns with checksums, counted and never kept.

Every pattern is bounded, so that no text makes one slow.
"""

from __future__ import annotations

import ipaddress
import re

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_PHONE = re.compile(r"(?<![\w.+-])(?:\+|\(?0|\()?\d[\d ()./-]{6,20}\d(?![\w-])")
_IBAN_HEAD = re.compile(r"[A-Z][A-Z]\d\d")
_DOTS = re.compile(r"\.\d{1,3}\.")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
"""What an IBAN, an IPv4 and an IPv6 address cannot do without, and is looked for faster."""
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_SEPARATED = re.compile(r"\d[ ()./-]+\d")


def luhn(digits: str) -> bool:
    """Whether a number passes the check digit of payment cards (ISO/IEC 7812-1).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban(text: str) -> bool:
    """Whether an account number passes the check digits of ISO 13616 (modulo 97 is 1).

    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB82 WEST 1234 5698 7654 33")
    (True, False)
    """
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def personal_counts(text: str, digits: int) -> dict[str, float]:
    """How many e-mail addresses, telephone numbers, IBANs, payment cards and IP addresses a text seems to hold.

    `digits` is how many it has: nothing is looked for that needs more of them.
    """
    found = dict.fromkeys(("email_count", "phone_count", "iban_count", "card_count", "ip_count"), 0.0)
    if "@" in text:
        found["email_count"] += sum(1 for _ in _EMAIL.finditer(text))
    if _COLONS.search(text):
        found["ip_count"] += sum(_is_address(match.group()) for match in _IPV6.finditer(text))
    if digits >= 2 and _IBAN_HEAD.search(text):
        text, found["iban_count"] = _take(_IBAN, text, iban)
    if digits >= 13:
        text, found["card_count"] = _take(_CARD, text, _is_card)
    if digits >= 4 and _DOTS.search(text):
        text, addresses = _take(_IPV4, text, _is_address)
        found["ip_count"] += addresses
    if digits >= 8:
        found["phone_count"] += sum(_is_phone(match.group()) for match in _PHONE.finditer(text))
    return found


def _take(pattern: re.Pattern[str], text: str, holds) -> tuple[str, float]:  # type: ignore[no-untyped-def]
    """The text without the matches that hold, and their number: nothing is counted as two things."""
    count = 0.0

    def drop(match: re.Match[str]) -> str:
        nonlocal count
        if not holds(match.group()):
            return match.group()
        count += 1
        return " # "

    return pattern.sub(drop, text), count


def _is_card(text: str) -> bool:
    """Lengths and first digits that payment networks issue, and the check digit."""
    digits = re.sub(r"\D", "", text)
    return len(digits) in (13, 14, 15, 16, 19) and digits[0] in "23456" and luhn(digits)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return text != "::"


def _is_phone(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    if _DATE.search(text):
        return False
    if text.startswith("+"):
        return 8 <= digits <= 15
    return 9 <= digits <= 12 and (text.startswith(("0", "(")) or _SEPARATED.search(text) is not None)
