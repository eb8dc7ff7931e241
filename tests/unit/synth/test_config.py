from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from proband.core.errors import ConfigError
from proband.synth import SynthConfig


def test_every_field_is_documented() -> None:
    assert all(field.description for field in SynthConfig.model_fields.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_shares": (0.5, 0.1, 0.1, 0.1, 0.1)}, "population_shares do not add up to 1"),
        ({"enrolment": (date(2012, 1, 1), date(2008, 1, 1))}, "enrolment and end are out of order"),
        ({"end": date(2013, 6, 1)}, "no follow-up at the prediction time"),
        ({"horizons_years": (5, 1)}, "horizons_years are not increasing"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SynthConfig(**settings)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        SynthConfig(subject=10)
