from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, model_validator

from proband.core.config import validated
from proband.core.errors import ConfigError


class Settings(BaseModel):
    num_paths: int = Field(2, ge=1)
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _ordered(self) -> Settings:
        if self.low > self.high:
            raise ValueError("low must not exceed high")
        return self


def test_names_the_flag_what_was_found_and_the_bound() -> None:
    with pytest.raises(
        ConfigError, match=r"unusable --num-paths; found 0; expected .*greater than or equal to 1"
    ):
        validated(Settings, num_paths=0)


def test_a_rule_over_several_options_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^low must not exceed high; in the options$"):
        validated(Settings, low=3)


def test_good_options_pass() -> None:
    assert validated(Settings, num_paths=7).num_paths == 7
