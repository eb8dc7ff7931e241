from __future__ import annotations

import pytest

from proband.core.config import validated
from proband.core.errors import ConfigError
from proband.forecast.config import ForecastConfig, precision_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.002", (0.002, 0)), ("5%", (0, 0.05)), (" 1e-3 ", (0.001, 0)), ("2.5 %", (0, 0.025))],
)
def test_a_precision_is_absolute_or_a_share_of_the_risk(text: str, expected: tuple[float, float]) -> None:
    assert precision_of(text) == pytest.approx(expected)
    assert ForecastConfig(precision=text).precision == text


@pytest.mark.parametrize("text", ["0", "1", "-0.1", "100%", "x", "5%%", "1e", "nan"])
def test_other_precisions_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"bad precision; in --precision; found .*expected a standard error"
    ):
        precision_of(text)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
def test_nothing_that_changes_the_law_of_paths_can_be_set(name: str) -> None:
    """With a top-k or a temperature rare codes would get a risk of 0, or another than the model's."""
    with pytest.raises(ConfigError, match=r"unusable --(temperature|top-[kp]).*not permitted"):
        validated(ForecastConfig, **{name: 1.0})
