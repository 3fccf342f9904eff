"""Dates in words: names of months in many languages, quarters, numbered weeks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache

# 2024Q1, 2024-T1, Q1 2024, 1T2024, 4Q24, 2024q1
QUARTER = re.compile(
    r"(?P<year>\d{4})[\s/-]?[QT](?P<quarter>[1-4])"
    r"|(?:[QT](?P<q2>[1-4])|(?P<q3>[1-4])[QT])[\s/-]?(?P<y2>(?:\d\d)?\d\d)",
    re.IGNORECASE,
)
# KW 05/2024, W5 2024, 2024 KW05
WEEK_NAMED = re.compile(
    r"(?:KW|CW|W|Week|Wk)\s?(\d\d?)[\s,/-]+(\d{4})|(\d{4})[\s/-]*(?:KW|CW|W|Week|Wk)\s?(\d\d?)",
    re.IGNORECASE,
)
# Months, without accents: English, German, French, Spanish, Italian, Portuguese, Dutch, Nordic.
MONTHS = (
    "january januar janvier enero gennaio janeiro januari",
    "february februar fevrier febrero febbraio fevereiro februari",
    "march marz mrz mars marzo marco maart mrt marts",
    "april avril abril aprile",
    "may mai mayo maggio maio mei maj",
    "june juni juin junio giugno junho",
    "july juli juillet julio luglio julho",
    "august aout agosto augustus augusti",
    "september septembre septiembre settembre setembro",
    "october oktober octobre octubre ottobre outubro",
    "november novembre noviembre novembro",
    "december dezember decembre diciembre dicembre dezembro desember",
)
# What may stand beside the day, the month and the year; how names of weekdays begin.
BESIDE = {
    "st", "nd", "rd", "th", "er", "o", "a", "de", "del", "di", "den", "der", "the", "of", "feira",
}  # fmt: skip
WEEKDAY = re.compile(
    "mo|tu|we|th|fr|sa|su|di|mi|do|so|lu|ma|me|je|ve|ju|vi|gi|se|te|qu|wo|vr|za|zo|on|to|lo"
)
# In which order day, month and year stand, by which of them are told: a year by its four digits.
ORDERS = {
    "dmy": "dmy", "mdy": "mdy", "ymd": "ymd", "my": "my", "ym": "ym", "dmd": "dmy", "mdd": "mdy",
}  # fmt: skip
CLOCK = re.compile(r"[ t:](\d{1,2}:\d\d(?::\d\d)?)$")


def _quarter(cell: str) -> str:
    """The first month of a quarter; nothing for another text."""
    if not (found := QUARTER.fullmatch(cell)):
        return ""
    year = found["year"] or found["y2"]
    quarter = int(found["quarter"] or found["q2"] or found["q3"])
    return f"{year if len(year) == 4 else f'20{year}'}-{3 * quarter - 2:02d}"


def _week(cell: str) -> str:
    """The Monday of a week by its number; nothing for another text."""
    if not (found := WEEK_NAMED.fullmatch(cell)):
        return ""
    week, year = found[1] or found[4], found[2] or found[3]
    try:
        return date.fromisocalendar(int(year), int(week), 1).isoformat()
    except ValueError:
        return ""


def _day_of_month_name(cell: str) -> str:
    """A day, or the first of a month, by the name of the month, the year and maybe a time; nothing
    for another text."""
    plain = unicodedata.normalize("NFKD", cell.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    found = CLOCK.search(plain)
    clock = f" {found[1]}" if found else ""
    words = re.findall(r"\d+|[^\W\d_]+", CLOCK.sub("", plain))
    words = [word for word in words if word not in BESIDE]
    if len(words) > 2 and WEEKDAY.match(words[0]) and not (_month(words[0]) and len(words) == 3):
        words = words[1:]
    kinds = "".join("m" if _month(word) else "y" if len(word) == 4 else "d" for word in words)
    if kinds not in ORDERS or not all(w.isdigit() for w, kind in zip(words, kinds) if kind != "m"):
        return ""
    parts = dict(zip(ORDERS[kinds], words))
    year = parts["y"] if len(parts["y"]) == 4 else f"{19 + (parts['y'] < '69')}{parts['y']:>02}"
    return f"{year}-{_month(parts['m']):02d}-{int(parts.get('d', 1)):02d}{clock}"


@lru_cache(1 << 12)
def _month(word: str) -> int:
    """The month that a word, or its beginning, names; 0 for none and for several."""
    found = {m for m, names in enumerate(MONTHS, 1) if f" {word}" in f" {names}"}
    return found.pop() if len(word) > 2 and len(found) == 1 else 0


#: formats that are made ISO dates first
SPELT: dict[str, Callable[[str], str]] = {
    "quarter": _quarter, "week": _week, "month name": _day_of_month_name,
}  # fmt: skip
