"""Numbers as people write them: thousands marks, decimal commas and points, minus signs."""

from __future__ import annotations

import re

_CURRENCY = (
    r"(?:US|AU|CA|HK|NT)?[$€£¥₹₩฿₫]|(?:USD|EUR|GBP|JPY|CNY|INR|MYR|SGD|CHF|AUD|CAD|IDR|THB|RM|Rp|Rs|kr)\.?"
)
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<minus>[-−]\s?)?(?:(?:{_CURRENCY})\s?)?(?P<digits>[0-9](?:[0-9.,'’]*[0-9])?)"
)


def numbers_in(text: str) -> list[float]:
    """The numbers in a text, in order; a currency may stand in front and a unit behind (RM9.00, 7km).

    Digits that follow letters in a word (B12) are no number.
    """
    found = []
    for match in _NUMBER.finditer(text):
        value = parse_number(match["digits"])
        if value is not None:
            found.append(-value if match["minus"] else value)
    return found


def parse_number(digits: str) -> float | None:
    """A number from digits with marks: the last of point and comma is the decimal mark, unless it groups thousands.

    None where the marks fit no number (a date such as 3.4.2024, a version, a time).
    """
    plain = digits.replace("'", "").replace("’", "")
    points, commas = plain.count("."), plain.count(",")
    if not points and not commas:
        return float(plain)
    if points and commas:
        decimal, group = (".", ",") if plain.rfind(".") > plain.rfind(",") else (",", ".")
        if plain.count(decimal) > 1:
            return None
        whole, fraction = plain.split(decimal)
        return float(whole.replace(group, "") + "." + fraction) if _grouped(whole, group) else None
    mark = "." if points else ","
    if plain.count(mark) > 1:
        return float(plain.replace(mark, "")) if _grouped(plain, mark) else None
    whole, fraction = plain.split(mark)
    if mark == "," and len(fraction) == 3 and 0 < len(whole) <= 3 and whole != "0":
        return float(whole + fraction)  # 1,234 is a thousand; 1.234 keeps its decimal point
    return float(whole + "." + fraction)


def _grouped(whole: str, mark: str) -> bool:
    """Whether the marks stand before groups of three digits (12,345 but not 1,23)."""
    first, *groups = whole.split(mark)
    return 0 < len(first) <= 3 and all(len(group) == 3 for group in groups)
