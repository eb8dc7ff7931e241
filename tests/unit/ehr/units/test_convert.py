from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.ehr.units.convert import SAME, conversion
from proband.ehr.units.spelling import read_unit, spelled

GLUCOSE, HBA1C = "LOINC//2345-7", "LOINC/4548-4"


@pytest.mark.parametrize(
    ("code", "value", "old", "new", "expected"),
    [
        (GLUCOSE, 5.5, "mmol/L", "mg/dL", 99.0858),  # 5.5 * 180.156 / 10
        ("LOINC//2160-0", 1.0, "mg/dL", "umol/L", 88.40),
        ("LOINC//2093-3", 5.0, "mmol/l", "MG/DL", 193.33),
        ("LOINC//3094-0", 14.0, "mg/dL", "mmol/L", 4.9975),
        ("LOINC//17861-6", 5.0, "meq/L", "mmol/L", 2.5),
        ("LOINC//2823-3", 4.1, "mEq/L", "mmol/L", 4.1),
        (HBA1C, 48.0, "mmol/mol", "%", 6.543),
        ("LAB//HB", 13.5, "g/dL", "g/L", 135.0),
        ("ANY", 98.6, "[degF]", "Cel", 37.0),
        ("ANY", 150.0, "lbs", "kg", 68.0389),
        ("ANY", 70.0, "in", "cm", 177.8),
        ("ANY", 16.0, "kPa", "mm Hg", 120.01),
        ("ANY", 7.2, "K/uL", "10*9/L", 7.2),
    ],
)
def test_hand_numbers(code: str, value: float, old: str, new: str, expected: float) -> None:
    line = conversion(code, old, new)
    assert line is not None
    assert line(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("LAB//GLU", "mmol/L", "mg/dL"),  # no LOINC code: nothing says which molar mass
        ("LOINC//43583-4", "nmol/L", "mg/dL"),  # lipoprotein(a) has no one mass
        (GLUCOSE, "mg/dL", "furlong"),
        (GLUCOSE, "%", "mmol/mol"),
        (GLUCOSE, "meq/L", "mmol/L"),
        ("ANY", "kg", "cm"),
    ],
)
def test_what_does_not_convert(code: str, old: str, new: str) -> None:
    assert conversion(code, old, new) is None


@pytest.mark.parametrize(
    "group",
    [
        ("mg/dL", "mg/dl", " MG/DL", "mg/100 mL", "mg%"),
        ("umol/L", "\u00b5mol/l", "\u03bcmol/L", "mcmol/L", "micromol/L"),
        ("10*3/uL", "10^3/uL", "K/uL", "x10E3/uL", "thou/mcL", "10*3{cells}/uL"),
        ("mm[Hg]", "mmHg", "mm Hg"),
        ("mL/min/{1.73_m2}", "mL/min/1.73m2", "ml/min/1.73 m\u00b2"),
        ("none", "", "  ", None),
    ],
)
def test_one_spelling(group: tuple[str | None, ...]) -> None:
    assert {spelled(one) for one in group} == {group[0]}


def test_enzyme_and_international_units_are_equal() -> None:
    assert conversion("LOINC//1742-6", "U/L", "IU/L") == SAME


UNITS = {
    GLUCOSE: ("mg/dL", "mmol/L", "g/L", "umol/L"),
    HBA1C: ("%", "mmol/mol"),
    "T": ("Cel", "[degF]", "K"),
    "N": ("10*3/uL", "10*9/L", "/uL"),
}


@given(code=st.sampled_from(sorted(UNITS)), data=st.data(), value=st.floats(0.1, 1e4))
def test_there_and_back(code: str, data: st.DataObject, value: float) -> None:
    old, new = data.draw(st.sampled_from(UNITS[code])), data.draw(st.sampled_from(UNITS[code]))
    there, back = conversion(code, old, new), conversion(code, new, old)
    assert there is not None
    assert back is not None
    assert back(there(value)) == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(text=st.text(max_size=30))
def test_any_text_is_a_unit_and_a_spelling_is_its_own(text: str) -> None:
    known = read_unit(text)
    if known:
        assert read_unit(known.text) == known
    assert spelled(text)
