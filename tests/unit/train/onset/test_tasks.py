from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proband.core.errors import ConfigError, DataError
from proband.train.onset.tasks import LEAST_ONSETS, choose_tasks
from small_world import HandStore, Record

TAIL = "prediction: {years_after_entry: 1}\nhorizons_years: [5]\n"
DEATH = 7


def store_of(tuning: bool = True) -> HandStore:
    """In train 30 onsets of code 2 and 25 of 4, 5 of code 3, 40 deaths; in tuning one of each."""
    tokens = [2] * 30 + [3] * 5 + [4] * 25 + [DEATH] * 40
    records = [Record([token], [500], entry=10, exit=900) for token in tokens]
    records += [Record([2], [5], entry=10, exit=900)] * 50  # had it before entry
    records += [Record([3], [950], entry=10, exit=900)] * 50  # after the end of follow-up
    found = [2, 3, 4, DEATH] if tuning else [6]
    records += [Record([token], [500], entry=10, exit=900, split="tuning") for token in found]
    return HandStore(records)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, **codes: str) -> Path:
        lines = [f"  {outcome}: {{codes: {code}}}" for outcome, code in codes.items()]
        path = tmp_path / f"{name}.yaml"
        path.write_text("\n".join(["outcomes:", *lines, TAIL]))
        return path

    return write


def test_outcomes_and_death_come_first_then_codes(file: Callable[..., Path]) -> None:
    tasks = choose_tasks(store_of(), [file("t", d="X//4")], with_codes=True)
    assert tasks is not None
    assert [task.name for task in tasks.tasks] == ["d", "MEDS_DEATH", "X//2"]
    assert tasks.num_named == 2
    alone = choose_tasks(store_of(), [file("t", d="X//4")], with_codes=False)
    assert alone is not None
    assert alone.tasks == tasks.tasks[:2]


def test_an_outcome_of_few_onsets_is_named_and_left_out(
    file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = choose_tasks(store_of(), [file("t", d="X//2", rare="X//3")], with_codes=False)
    assert tasks is not None
    assert [task.name for task in tasks.tasks] == ["d", "MEDS_DEATH"]
    said = capsys.readouterr().err
    assert (
        f"outcome rare has ≤20 onsets among train subjects under follow-up, fewer than {LEAST_ONSETS}" in said
    )
    assert said.count("\n") == 1


def test_without_any_outcome_of_enough_onsets(file: Callable[..., Path]) -> None:
    message = r"no outcome of the task files can be learnt; in --task; found fewer than 21 onsets.*remedy"
    with pytest.raises(DataError, match=message) as caught:
        choose_tasks(store_of(), [file("t", rare="X//3")], with_codes=True)
    assert "\n" not in str(caught.value)


def test_no_onset_in_tuning(file: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"no onset of any task in the tuning split.*--splits"):
        choose_tasks(store_of(tuning=False), [file("t", d="X//2")], with_codes=True)
    assert choose_tasks(store_of(tuning=False), [], with_codes=True) is None
    assert "no onset in the tuning split to judge onset hazards by" in capsys.readouterr().err


def test_static_and_unknown_codes(file: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"an outcome of static codes.*outcome sex; found Gender//F"):
        choose_tasks(store_of(), [file("t", sex="Gender//F")], with_codes=True)
    with pytest.raises(ConfigError, match=r"not in the model's vocabulary.*did you mean X//2"):
        choose_tasks(store_of(), [file("t", d="X//22")], with_codes=True)


def test_two_outcomes_of_one_name(file: Callable[..., Path]) -> None:
    files = [file("one", d="X//2"), file("two", d="X//4")]
    with pytest.raises(ConfigError, match=r"two outcomes are called d; in .*two\.yaml; remedy: rename"):
        choose_tasks(store_of(), files, with_codes=True)
    files = [file("one", d="X//2"), file("again", d="X//2", other="X//2", e="X//4")]
    tasks = choose_tasks(store_of(), files, with_codes=False)  # the same codes are one task
    assert tasks is not None
    assert [task.name for task in tasks.tasks] == ["d", "e", "MEDS_DEATH"]
