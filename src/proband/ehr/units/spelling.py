"""One spelling for each unit, and what it measures.

Units are read as UCUM writes them (https://ucum.org) and as laboratories do: in any case, with or without
brackets and annotations, with ``^`` for ``*``, ``K`` for ``10*3``, ``mcg`` for ``ug``. Case tells nothing
apart in laboratory units (nobody reports megagrams), so MG/DL is mg/dL; G/L is grams per litre.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

NO_UNIT = "none"
"""Stands for values recorded without a unit."""

_PREFIXES = {"": 1.0, "k": 1e3, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_ROOTS = {"g": ("g", 1.0), "mol": ("mol", 1.0), "eq": ("eq", 1.0), "u": ("U", 1.0), "[iu]": ("U", 1.0)}
_ROOTS["kat"] = ("U", 6e7)  # 1 U = 1 umol/min, 1 kat = 1 mol/s
_WRITTEN = {"u": "U", "[iu]": "[IU]"}
_AMOUNTS = {
    **{f"{prefix}{root}": (kind, size * factor)
       for prefix, size in _PREFIXES.items() for root, (kind, factor) in _ROOTS.items()},
    **{f"10*{power}": ("number", 10.0**power) for power in range(1, 13)},
    "": ("number", 1.0),
}  # fmt: skip
_VOLUMES = {f"{prefix}l": size for prefix, size in _PREFIXES.items()}
_SINGLE = {
    "%": ("fraction", 1.0, 0.0),
    "l/l": ("fraction", 100.0, 0.0),
    "mmol/mol": ("IFCC fraction", 1.0, 0.0),
    "kg": ("mass", 1.0, 0.0),
    "g": ("mass", 1e-3, 0.0),
    "mg": ("mass", 1e-6, 0.0),
    "[lb_av]": ("mass", 0.45359237, 0.0),
    "[oz_av]": ("mass", 0.45359237 / 16, 0.0),
    "m": ("length", 1.0, 0.0),
    "cm": ("length", 0.01, 0.0),
    "mm": ("length", 0.001, 0.0),
    "[in_i]": ("length", 0.0254, 0.0),
    "[ft_i]": ("length", 0.3048, 0.0),
    "cel": ("temperature", 1.0, 0.0),
    "[degf]": ("temperature", 5 / 9, -160 / 9),
    "k": ("temperature", 1.0, -273.15),
    "mm[hg]": ("pressure", 1.0, 0.0),
    "kpa": ("pressure", 1 / 0.133322387415, 0.0),
    "pa": ("pressure", 1 / 133.322387415, 0.0),
    "/min": ("rate", 1.0, 0.0),
    "kg/m2": ("mass per area", 1.0, 0.0),
    "ml/min/{1.73_m2}": ("clearance by body surface", 1.0, 0.0),
}
"""Unit -> what it measures, and scale and offset to one unit of that: %, kg, m, Cel, mm[Hg], ..."""
_CASED = {
    **{"cel": "Cel", "[degf]": "[degF]", "k": "K", "mm[hg]": "mm[Hg]", "kpa": "kPa", "pa": "Pa"},
    **{"l/l": "L/L", "ml/min/{1.73_m2}": "mL/min/{1.73_m2}"},
}
_SYNONYMS = {
    **dict.fromkeys(("percent", "pct", "%{hb}", "%hb", "%oftotalhgb", "%ofhgb", "%oftotal"), "%"),
    **dict.fromkeys(("mg%", "mgs/dl", "mg/100ml"), "mg/dl"),
    **dict.fromkeys(("g%", "gm%", "g/100ml"), "g/dl"),
    **dict.fromkeys(("mmol/molhb", "mmol/molhgb", "mmol/m"), "mmol/mol"),
    **dict.fromkeys(("lb", "lbs", "pound", "pounds", "[lb_us]"), "[lb_av]"),
    **dict.fromkeys(("oz", "ounce", "ounces"), "[oz_av]"),
    **dict.fromkeys(("kgs", "kilogram", "kilograms"), "kg"),
    **dict.fromkeys(("in", "inch", "inches", "[in_us]"), "[in_i]"),
    **dict.fromkeys(("ft", "foot", "feet", "[ft_us]"), "[ft_i]"),
    **dict.fromkeys(("c", "degc", "°c", "celsius", "degreescelsius", "degreec"), "cel"),
    **dict.fromkeys(("f", "degf", "°f", "fahrenheit", "degreesfahrenheit", "degreef"), "[degf]"),
    **dict.fromkeys(("kelvin", "degk"), "k"),
    **dict.fromkeys(("mmhg", "torr"), "mm[hg]"),
    **dict.fromkeys(("bpm", "1/min", "beats/min", "breaths/min", "min-1", "beats/minute"), "/min"),
    **dict.fromkeys(("kg/m*2", "kg/sqm", "kg/(m2)", "kg/m**2"), "kg/m2"),
}
_NUMBERS = {
    **dict.fromkeys(("k", "thou", "thousand", "thousands", "th", "10e3", "1000"), "10*3"),
    **dict.fromkeys(("m", "mil", "mill", "million", "millions", "10e6", "1000000"), "10*6"),
    **dict.fromkeys(("#", "cells", "cell", "1"), ""),
    **{f"10e{power}": f"10*{power}" for power in range(1, 13)},
}
_WORDS = (
    (re.compile(r"micro|mc(?=[gluimo])|\u03bc"), "u"),
    (re.compile(r"milli(?!on)"), "m"),
    (re.compile(r"(?:litres?|liters?)$"), "l"),
    (re.compile(r"grams?|gms?(?=/|$)"), "g"),
    (re.compile(r"moles?|mols"), "mol"),
    (re.compile(r"equiv(?:alents?)?"), "eq"),
    (re.compile(r"int(?:ernational)?\.?units?|\[iu\]|(?<=\b[muk])iu|\biu"), "[iu]"),
    (re.compile(r"units?"), "u"),
    (re.compile(r"(?<=/)(?:mm3|mm\*3|cumm|cmm|umm)$"), "ul"),
    (re.compile(r"(?<=/)(?:cm3|cc)$"), "ml"),
    (re.compile(r"^[x*]+(?=10)"), ""),
    (re.compile(r"^10\((\d+)\)|^10\*\*(\d+)|^10e\+?0?(\d+)"), r"10*\1\2\3"),
)
_CLEARANCE = re.compile(r"ml/min/\D{0,3}1\.73\D{0,3}m\D{0,3}2\D?")
_ANNOTATION = re.compile(r"\{[^{}]*\}")


class Unit(NamedTuple):
    """A unit that is known.

    Attributes:
        text: Its UCUM spelling.
        kind: What it measures; units of one kind convert whatever is measured.
        scale: base value = scale * value + offset, the base being one unit of the kind.
        offset: Not 0 for temperatures alone.
    """

    text: str
    kind: str
    scale: float
    offset: float = 0.0


@cache
def read_unit(text: str | None) -> Unit | None:
    """What a unit is, or None where it is not known.

    >>> read_unit("MG/DL")
    Unit(text='mg/dL', kind='g per litre', scale=0.01, offset=0.0)
    >>> read_unit("K/uL").text, read_unit("x10^9/L").text, read_unit("µmol/l").text, read_unit("furlong")
    ('10*3/uL', '10*9/L', 'umol/L', None)
    """
    plain = _plain(text or "")
    if plain in _SINGLE:
        return Unit(_CASED.get(plain, plain), *_SINGLE[plain])
    amount, slash, volume = plain.partition("/")
    amount = _NUMBERS.get(amount, amount)
    if not slash or amount not in _AMOUNTS or volume not in _VOLUMES:
        return None
    kind, size = _AMOUNTS[amount]
    written = f"{_written(amount)}/{volume[:-1]}L"
    return Unit(written, f"{kind} per litre", size / _VOLUMES[volume])


def _written(amount: str) -> str:
    for root, text in _WRITTEN.items():
        if amount.removesuffix(root) in _PREFIXES and amount.endswith(root):
            return amount.removesuffix(root) + text
    return amount


def spelled(text: str | None) -> str:
    """The one spelling of a unit: UCUM's where it is known, else lower case without blanks.

    A missing or blank unit is :data:`NO_UNIT`.

    >>> spelled("mg/dl"), spelled(" Score "), spelled(""), spelled(None), spelled("IU/L")
    ('mg/dL', 'score', 'none', 'none', '[IU]/L')
    """
    known = read_unit(text)
    return known.text if known else (_plain(text or "") or NO_UNIT)


@cache
def _plain(text: str) -> str:
    """Lower case, without blanks, annotations and the many ways to write powers of ten."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"\bper\b", "/", plain)
    plain = re.sub(r"\s+", "", plain).replace("^", "*")
    if plain in _SYNONYMS or _CLEARANCE.fullmatch(plain):
        return _SYNONYMS.get(plain, "ml/min/{1.73_m2}")
    plain = _ANNOTATION.sub("", plain) or plain
    for pattern, better in _WORDS:
        plain = pattern.sub(better, plain)
    return _SYNONYMS.get(plain, plain)
