"""Indicators of personal data in a text: patterns with check digits and ranges, counted and never kept.

Every pattern is bounded, so that no text makes one slow.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable

_OUTER = r"[^\x00-\xbf\s\u2000-\u206f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]"
"""A character beyond ASCII that may stand in an international address (RFC 6531)."""
_LOCAL = rf"(?:[A-Za-z0-9_.!#$%&'*+/=?^`{{|}}~-]|{_OUTER})"
_LABEL = rf"(?:[A-Za-z0-9-]|{_OUTER}){{1,63}}"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9_.%+\x80-\uffff-]){_LOCAL}{{1,64}}@(?!\d+x\.(?:png|jpe?g|gif|webp|svg)\b)"
    rf"(?:{_LABEL}\.){{1,8}}(?:xn--[A-Za-z0-9-]{{2,59}}|(?:[A-Za-z]|{_OUTER}){{2,63}})(?![A-Za-z0-9@])"
)
_CARD = re.compile(r"(?<![\w-])(?<!\d[.,])\d(?:[ -]?\d){11,18}(?![\w-]|[.,]\d)")
_CARD_GROUPS = re.compile(r"\d+|(?:\d{4}([ -]))(?:\d{4}\1){0,3}\d{1,4}|\d{4}([ -])\d{6}\2\d{4,5}")
_IPV4 = re.compile(r"(?<![\w.])(?<![^\W\d_]-)(?<!\w/)\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_IBAN_HEAD = re.compile(r"(?<![^\W_])[A-Za-z]{2}[ \u00a0-]?\d{2}")
_DOTS = re.compile(r"\.\d{1,3}\.")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
"""What an IPv4 and an IPv6 address cannot do without, and is searched for faster."""
_VERSION = re.compile(
    r"(?:\b(?:v|ver|vers|version|versions|release|build|firmware|kernel|driver|patch|update|upgrade|upgraded|section|chapter"
    r"|clause|revision|rev)\b|§)(?: from)?[\s.:#v=(]{0,3}$",
    re.IGNORECASE,
)
_RESOLVERS = frozenset(("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"))
_PHONE = re.compile(r"(?:\(?\+ ?)?\(?\d(?:[ \u00a0().\-–/]{0,2}\d){6,16}")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_GLUED = re.compile(r"(?:[\w=#+/@]|\d[.,:-]|\w-|[$€£¥₹] ?|\b(?:EUR|USD|GBP|CHF|INR|JPY|Rs\.?|ISBN(?:-1[03])?:?) ?)$")
_UNIT = re.compile(
    r"\w|[.,:/-]\d|\s?(?:[%€$£¥₹°]|(?:EUR|USD|GBP|CHF|INR|JPY|euros?|dollars?|pounds|people|million|billion|units|"
    r"km|kg|ms|bytes|steps|tokens)\b)",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"(?:\b(?:phones?|telephone|tel|call|ring|dial|text me|mobile|cell|fax|whatsapp|sms|telefon\w*|handy\w*|mobil\w*|ruf\w*"
    r"|anruf\w*|appel\w*|t[eé]l[eé]phone|portable|tel[eé]fono|ll[aá]m\w*|m[oó]vil|celular|ligue|cellulare|chiam\w*|bel)\b"
    r"|☎|📞|电话|電話|手机|телефон\w*|звон\w*)[^\d]{0,16}$",
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(r"(?:1[ .-])?\(?[2-9]\d\d\)?[ .-]{1,2}\d{3}[ .-]\d{4}")
_AMOUNT = re.compile(r"[1-9]\d{0,2}(?:([ .\u00a0])\d{3})(?:\1\d{3})*")
_DECIMAL = re.compile(r"\d+\.\d{5,}|\d+[.,]\d+")
_YEARS = re.compile(r"(?:(?:19|20)\d\d[ –-]?)+")

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA",
        30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Characters of an account number by country (ISO 13616 registry)."""
_NETWORKS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (16, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (300, 305, (14,)),  # Diners Club
    (36, 36, (14,)),
    (38, 39, (14,)),
    (3528, 3589, (16,)),  # JCB
    (6011, 6011, (16, 19)),  # Discover
    (644, 659, (16, 19)),
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (2200, 2204, (16,)),  # Mir
    (6759, 6763, (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
)
"""(first, last, lengths): ranges of leading digits that networks issue."""


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
    """Whether an account number has its country's length and passes the check digits of ISO 13616 (modulo 97 is 1).

    >>> iban("GB82 WEST 1234 5698 7654 32"), iban("GB82 WEST 1234 5698 7654 33")
    (True, False)
    """
    plain = "".join(character for character in text if character.isalnum()).upper()
    if not plain.isascii() or len(plain) != _IBAN_LENGTHS.get(plain[:2]):
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def personal_counts(text: str, digits: int) -> dict[str, float]:
    """How many e-mail addresses, telephone numbers, IBANs, payment cards and IP addresses a text seems to hold.

    `digits` is how many it has: nothing is searched for that needs more of them.
    """
    found = dict.fromkeys(("email_count", "phone_count", "iban_count", "card_count", "ip_count"), 0.0)
    if "@" in text:
        found["email_count"] += sum(1 for _ in _EMAIL.finditer(text))
    if digits and _COLONS.search(text):
        found["ip_count"] += sum(_is_ipv6(match.group()) for match in _IPV6.finditer(text))
    if digits >= 9:
        text, found["iban_count"] = _take_ibans(text)
    if digits >= 12:
        text, found["card_count"] = _take(_CARD, text, _is_card)
    if digits >= 4 and _DOTS.search(text):
        text, addresses = _take(_IPV4, text, _is_ipv4)
        found["ip_count"] += addresses
    if digits >= 7:
        found["phone_count"] += sum(map(_is_phone, _PHONE.finditer(text)))
    return found


def _take(pattern: re.Pattern[str], text: str, holds: Callable[[re.Match[str]], bool]) -> tuple[str, float]:
    """The text without the matches that hold, and their number: nothing is counted as two things."""
    count = 0.0

    def drop(match: re.Match[str]) -> str:
        nonlocal count
        if not holds(match):
            return match.group()
        count += 1
        return " # "

    return pattern.sub(drop, text), count


def _take_ibans(text: str) -> tuple[str, float]:
    pieces, start, count = [], 0, 0.0
    for head in _IBAN_HEAD.finditer(text):
        length = _IBAN_LENGTHS.get(head.group()[:2].upper())
        if length is None or head.start() < start:
            continue
        whole = _iban_tail(length - 4).match(text, head.end())
        if whole is not None and iban(text[head.start() : whole.end()]):
            pieces.append(text[start : head.start()] + " # ")
            start = whole.end()
            count += 1
    return ("".join([*pieces, text[start:]]) if count else text), count


@functools.cache
def _iban_tail(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[ \u00a0.-]?[A-Za-z0-9]){{{length}}}(?![A-Za-z0-9])")


def _is_card(match: re.Match[str]) -> bool:
    """A network's leading digits and length, the usual groups, and the check digit."""
    if _CARD_GROUPS.fullmatch(match.group()) is None:
        return False
    digits = match.group().replace(" ", "").replace("-", "")
    issued = any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last for first, last, lengths in _NETWORKS
    )
    return issued and luhn(digits)


def _is_ipv4(match: re.Match[str]) -> bool:
    """A valid address, neither named a version nor made of four small numbers as versions and sections are."""
    try:
        address = ipaddress.IPv4Address(match.group())
    except ValueError:
        return False
    if _VERSION.search(match.string[max(0, match.start() - 24) : match.start()]):
        return False
    small = all(octet < 32 for octet in address.packed)
    return not small or address.is_private or match.group() in _RESOLVERS


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return any(character.isdigit() for character in text)


def _is_phone(match: re.Match[str]) -> bool:
    """International numbers that are possible; national ones with a trunk prefix, an area in brackets, or a cue before."""
    text, start, end = match.string, match.start(), match.end()
    before, written = text[max(0, start - 40) : start], match.group().rstrip("/(.- ")
    if _GLUED.search(before) or _UNIT.match(text, end):
        return False
    digits = "".join(filter(str.isdigit, written))
    if "+" in written or (digits.startswith("00") and re.match(r"\(?00[ \d(]", written)):
        return _is_international(digits.removeprefix("00"))
    if (
        _DATE.search(written)
        or _DECIMAL.fullmatch(written)
        or re.search(r"\d\.\d{5}", written)
        or _YEARS.fullmatch(written)
    ):
        return False
    if _CUE.search(before) and 7 <= len(digits) <= 15:
        return True
    if _AMOUNT.fullmatch(written) or not 9 <= len(digits) <= 12:
        return False
    groups = re.findall(r"\d+", written)
    if min(map(len, groups)) < 2:
        return bool(_NORTH_AMERICAN.fullmatch(written))
    trunk = digits[0] == "0" and digits[1] != "0"
    return trunk or written.startswith("(") or bool(_NORTH_AMERICAN.fullmatch(written))


def _is_international(digits: str) -> bool:
    if not 7 <= len(digits) <= 15 or digits.startswith("0"):
        return False
    try:
        import phonenumbers
    except ImportError:
        return True
    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}")))
    except phonenumbers.NumberParseException:
        return False
