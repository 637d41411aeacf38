"""Names of time zones in full, as the letters zzzz of a pattern write them.

They are Java's names, in English, for the zones that have an abbreviation; the standard time of
central Europe is Central European Standard Time there. A zone without a name is written as its
offset, as Joda-Time does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_STANDARD = {
    "P": "Pacific",
    "M": "Mountain",
    "C": "Central",
    "E": "Eastern",
    "A": "Atlantic",
    "AK": "Alaska",
    "H": "Hawaii-Aleutian",
    "N": "Newfoundland",
    "NZ": "New Zealand",
    "AE": "Australian Eastern",
    "AC": "Australian Central",
    "AW": "Australian Western",
    "CE": "Central European",
    "EE": "Eastern European",
    "WE": "Western European",
}
"""Beginnings of abbreviations that end in ST, DT, T or EST."""
_EUROPE = ("CE", "EE", "WE")
_NAMES = {
    "UTC": "Coordinated Universal Time",
    "GMT": "Greenwich Mean Time",
    "BST": "British Summer Time",
    "MSK": "Moscow Standard Time",
    "JST": "Japan Standard Time",
    "KST": "Korean Standard Time",
    "HKT": "Hong Kong Standard Time",
    "PKT": "Pakistan Standard Time",
    "SAST": "South Africa Standard Time",
    "WAT": "West Africa Time",
    "CAT": "Central Africa Time",
    "EAT": "East Africa Time",
    "WIB": "Western Indonesia Time",
    "WITA": "Central Indonesia Time",
    "WIT": "Eastern Indonesia Time",
    "SST": "Samoa Standard Time",
    "ChST": "Chamorro Standard Time",
}
for _short, _long in _STANDARD.items():
    if _short in _EUROPE:
        _NAMES |= {f"{_short}T": f"{_long} Standard Time", f"{_short}ST": f"{_long} Summer Time"}
    else:
        _NAMES |= {f"{_short}ST": f"{_long} Standard Time", f"{_short}DT": f"{_long} Daylight Time"}
_ELSEWHERE = {
    ("CST", "Asia/Taipei"): "Taipei Standard Time",
    ("CST", "Asia/"): "China Standard Time",
    ("CST", "PRC"): "China Standard Time",
    ("CST", "America/Havana"): "Cuba Standard Time",
    ("CDT", "America/Havana"): "Cuba Daylight Time",
    ("IST", "Asia/Jerusalem"): "Israel Standard Time",
    ("IST", "Israel"): "Israel Standard Time",
    ("IDT", ""): "Israel Daylight Time",
    ("IST", "Asia/"): "India Standard Time",
    ("IST", "Europe/"): "Irish Standard Time",
    ("PST", "Asia/Manila"): "Philippine Standard Time",
}
"""By abbreviation and what the zone begins with, of abbreviations that several zones have."""


def zone_name(moment: datetime, is_long: bool) -> str:
    """Return the abbreviation of a moment's time zone or its name in full; of none its offset."""
    short = moment.tzname() or ""
    if short[:1] in ("+", "-"):
        return offset_text(moment, ":")
    if not is_long:
        return short
    zone = str(moment.tzinfo)
    for (each, start), name in _ELSEWHERE.items():
        if each == short and zone.startswith(start):
            return name
    return _NAMES.get(short, short)


def offset_text(moment: datetime, separator: str) -> str:
    """Return how far a moment's time zone is ahead of UTC, in hours and minutes."""
    minutes = round((moment.utcoffset() or timedelta()) / timedelta(minutes=1))
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{separator}{rest:02d}"
