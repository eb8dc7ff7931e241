"""From one unit to another: by what the units measure, and for common laboratory tests by molar mass.

``analytes.csv`` names each test by its LOINC codes (https://loinc.org). Molar masses in g/mol are sums
over the formula of IUPAC's standard atomic weights (2021, doi:10.1515/pac-2019-0603); of haemoglobin that of
one haem and its chain, a quarter of 64458 (ICSH 1978). Haemoglobin A1c follows the master equation
of NGSP (%) and IFCC (mmol/mol), NGSP = 0.09148 IFCC + 2.152 (Hoelzel et al. 2004,
doi:10.1373/clinchem.2003.024802; https://ngsp.org/ifccngsp.asp).
"""

from __future__ import annotations

import csv
import math
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from proband.ehr.units.spelling import Unit, read_unit, spelled

_PATH = Path(__file__).with_name("analytes.csv")
_LOINC = re.compile(r"(?:.*/)?LOINC/{1,2}(\d{1,7}-\d)", re.IGNORECASE)
_HBA1C = "haemoglobin A1c"
_NGSP_PER_IFCC, _NGSP_AT_0 = 0.09148, 2.152
_SAME = 1e-9


class Line(NamedTuple):
    """A straight line: ``scale * value + offset``."""

    scale: float
    offset: float

    def __call__(self, value: float) -> float:
        """The value in the other unit."""
        return self.scale * value + self.offset


SAME = Line(1.0, 0.0)
"""Leaves a value as it is."""


class Analyte(NamedTuple):
    """What a laboratory test measures.

    Attributes:
        component: Its name.
        molar_mass: In g/mol; None where amount and mass do not convert.
        charge: Equivalents per mole; None where that says nothing.
    """

    component: str
    molar_mass: float | None
    charge: int | None


@cache
def _analytes() -> dict[str, Analyte]:
    with open(_PATH, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        mass, charge = row["molar_mass"], row["charge"]
        one = Analyte(row["component"], float(mass) if mass else None, int(charge) if charge else None)
        found.update(dict.fromkeys(row["loinc"].split(), one))
    return found


def analyte_of(code: str) -> Analyte | None:
    """The laboratory test of a LOINC code, with one slash or two; None if it is none of the table.

    >>> analyte_of("LOINC//2345-7").component, analyte_of("LAB/LOINC/2345-7").component, analyte_of("LAB//1")
    ('glucose', 'glucose', None)
    """
    found = _LOINC.fullmatch(code)
    return _analytes().get(found[1]) if found else None


@cache
def conversion(code: str, old: str, new: str) -> Line | None:
    """How values of a code in one unit become values in another.

    Args:
        code: The code, as in MEDS events.
        old: Unit of the values, in any spelling.
        new: Unit wanted.

    Returns:
        The line from old to new, :data:`SAME` where both are one; None where there is none.

    >>> round(conversion("LOINC//2345-7", "mmol/L", "mg/dL")(5.5), 1)
    99.1
    >>> conversion("LOINC//1742-6", "U/L", "IU/L"), conversion("LAB//1", "mmol/L", "mg/dL")
    (Line(scale=1.0, offset=0.0), None)
    """
    if spelled(old) == spelled(new):
        return SAME
    first, second = read_unit(old), read_unit(new)
    if first is None or second is None:
        return None
    start, end = (first, second) if first.kind == second.kind else (None, None)
    if start is None or end is None:
        analyte = analyte_of(code)
        start, end = _common(first, analyte), _common(second, analyte)
        if start is None or end is None or start.kind != end.kind:
            return None
    line = Line(start.scale / end.scale, (start.offset - end.offset) / end.scale)
    same = math.isclose(line.scale, 1, rel_tol=_SAME) and abs(line.offset) < _SAME
    return SAME if same else line


def _common(unit: Unit, analyte: Analyte | None) -> Unit | None:
    """The unit on the scale that amount, mass and charge of an analyte share: mol per litre, or NGSP %."""
    if analyte is None:
        return None
    if unit.kind == "mol per litre":
        return unit
    if unit.kind == "g per litre" and analyte.molar_mass:
        return Unit(unit.text, "mol per litre", unit.scale / analyte.molar_mass)
    if unit.kind == "eq per litre" and analyte.charge:
        return Unit(unit.text, "mol per litre", unit.scale / analyte.charge)
    if analyte.component != _HBA1C:
        return None
    if unit.kind == "fraction":
        return unit
    is_ifcc = unit.kind == "IFCC fraction"
    return Unit(unit.text, "fraction", _NGSP_PER_IFCC, _NGSP_AT_0) if is_ifcc else None
