import html
import re
import shutil

import polars as pl
import pytest

from manifests import forget_digests
from proband.evaluate.tables import LEARNING
from proband.report import check, report
from proband.report.disclosure import Disclosure
from proband.report.sections.found import read_results
from proband.report.sections.performance.course import of_train, of_tuning, sentence
from proband.report.sections.performance.learning import learning, thinned

MODEL = "m & n"


def points(losses, split="tuning", kept=None, fit="next_event", part="", every=10, model=MODEL):
    """Rows of the table of learning curves: a loss every ten steps, six seconds each."""
    rows = [
        (model, fit, part, split, float(every * at), 6.0 * at, loss, at == kept)
        for at, loss in enumerate(losses, 1)
    ]
    return LEARNING.check(pl.DataFrame(rows, schema=dict(LEARNING.columns), orient="row"), "curves")


def steps(model=MODEL, **losses):
    rows = [(model, "onset_steps", name, "tuning", float(at), None, loss, False) for at, (name, loss) in
            enumerate(losses.items())]  # fmt: skip
    return LEARNING.check(pl.DataFrame(rows, schema=dict(LEARNING.columns), orient="row"), "curves")


def with_curves(found, *tables, notes=()):
    manifest = found.manifest | {"notes": dict(notes)}
    return type(found)(dict(found.tables) | {"learning": pl.concat(tables)}, manifest, found.rules)


@pytest.fixture
def found(refitted):
    return read_results(refitted[0])


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([2.0, 1.5, 1.25], "still falling at the end, by 0.250 nats per event since the evaluation before"),
        ([2.0, 1.25, 1.2495], "hardly falling any more"),
        ([2.0, 1.25, 1.5], "lowest at step 20 and has risen by 0.250 nats per event since"),
        ([2.0, 1.25, 1.25], "lowest at step 20 and has fallen no further since"),
        ([2.0], "evaluated once, at the end"),
    ],
)
def test_the_words_say_whether_the_tuning_loss_was_falling_or_had_risen(losses, said):
    assert said in of_tuning(points(losses), "nats per event")


def test_no_evaluation_is_no_sentence():
    assert of_tuning(points([]), "nats per event") == ""


def test_a_falling_train_loss_is_told_from_noise():
    # Ten lines; (0.5, 0.75] of the last step are lines 6 and 7, (0.75, 1] lines 8 to 10.
    falling = of_train(points([9, 8, 7, 6, 5, 4.1, 3.9, 3.1, 3.0, 2.9], "train"))
    assert "still falling, by 1.000 nats per event" in falling
    flat = of_train(points([9, 8, 7, 6, 5, 4.1, 3.9, 4.1, 4.0, 3.8], "train"))
    assert "did not clearly fall" in flat
    assert of_train(points([9, 8], "train")) == ""


def test_what_ended_training_and_what_the_onset_fit_gained_stand_in_the_sentence():
    rows = pl.concat([points([2.0, 1.5], kept=2), steps(age_sex=4.3, record=4.1, by_time=4.05)])
    said = sentence(rows, "patience")
    assert said.startswith(
        "Training ended after 20 steps, 0.2 minutes: it stopped early, for want of a lower"
    )
    assert "0.250 nats per date below that of age and sex" in said
    assert said.endswith("most by linear terms and interactions of the record (0.200).")
    assert "not below that of age and sex" in sentence(steps(age_sex=4.0, record=4.1), "")


def test_curves_of_a_model_are_drawn_with_the_weights_kept_in_a_ring(found):
    shown = learning(with_curves(found, points([3.0, 2.0, 1.0], "train"), points([2.5, 1.6, 1.7], kept=2)))
    [figure] = shown.figures
    assert figure.title == f"{MODEL}: next event"
    [ring] = re.findall(r'<circle class="mark m0 ring"[^>]*>.*?</circle>', figure.svg)
    assert "kept: tuning 1.6 at 20" in ring
    assert len(re.findall(r'<circle class="mark m0"', figure.svg)) == 3
    assert "train loss from 3.000 to 1.000; tuning loss from 2.500 to 1.700, lowest 1.600" in figure.svg
    assert [row[2:] for row in shown.losses.rows] == [
        ["10", "0.1", "3.000", "2.500", ""],
        ["20", "0.2", "2.000", "1.600", "kept"],
        ["30", "0.3", "1.000", "1.700", ""],
    ]


def test_steps_of_the_onset_fit_are_gains_on_the_first_in_the_order_of_the_fit(found):
    shown = learning(with_curves(found, steps(age_sex=4.3, by_time=4.05, calibrated=4.0)))
    assert "at the end: m &amp; n 0.300" in shown.steps.svg
    assert "m &amp; n: 0.25 after step 2" in shown.steps.svg
    assert shown.step_names == "1 age and sex, 2 values by time, 3 calibration"
    assert shown.step_losses.rows == [
        ["1 age and sex", "4.300"], ["2 values by time", "4.050"], ["3 calibration", "4.000"],
    ]  # fmt: skip


def test_steps_of_another_version_stand_after_the_step_before_them(found):
    shown = learning(
        with_curves(found, steps(age_sex=4.3, linear=4.1, interactions=4.05, networks=4.04, calibrated=4.0))
    )
    assert [row[0] for row in shown.step_losses.rows] == [
        "1 age and sex", "2 linear", "3 interactions", "4 networks", "5 calibration",
    ]  # fmt: skip
    assert "at the end: m &amp; n 0.300" in shown.steps.svg


def test_long_logs_are_thinned_but_first_last_and_kept_stay(found):
    losses = [2 - at / 1000 for at in range(1000)]
    short = thinned(points(losses, kept=500), 8)
    assert short.height in (8, 9)
    assert {10.0, 5000.0, 10000.0} <= set(short["at"])
    shown = learning(with_curves(found, points(losses, "train"), points(losses, kept=500)))
    assert shown.figures[0].svg.count("<circle") < 70
    assert len(shown.losses.rows) <= 9


def test_without_a_curve_there_is_no_section_and_models_without_are_named(found):
    assert learning(with_curves(found, LEARNING.empty())) is None
    other = learning(with_curves(found, points([2.0, 1.0]), notes={"without_learning_curve": ["B"]}))
    assert other.missing == "None of B: the model folder was not found, or had changed."
    assert learning(with_curves(found, points([2.0, 1.0], model="not judged"))) is None


def test_a_page_with_curves_passes_the_check(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    names = ("<b>ehr", "ehr & pgs")
    tables = [points([2.123456, 1.7, 1.6512345], kept=3, model=name) for name in names]
    tables += [points([2.1, 1.72222222], "train", model=name) for name in names]
    tables += [
        points([0.5, 0.4], fit="onset_networks", part="1", every=0.123456, model=name) for name in names
    ]
    tables += [steps(name, age_sex=4.31234567, record=4.2) for name in names]
    LEARNING.write(pl.concat(tables), tmp_path / "results" / "learning.parquet")
    forget_digests(tmp_path / "results")
    report(tmp_path / "results", out := tmp_path / "page.html")
    text = html.unescape(out.read_text(encoding="utf-8"))
    section = text[text.index('<h2 id="learning">') : text.index('<h2 id="cohort">')]
    assert section.count("<figure>") == 5
    assert "<b>ehr" in section
    assert '<a href="#learning">' in text
    assert check(out) == []


def test_risks_of_no_forecast_have_no_section(page):
    assert 'id="learning"' not in page


def test_synthetic_data_change_nothing_of_losses(found):
    table = points([2.0, 1.0], kept=2)
    open_page = type(found)(found.tables, found.manifest, Disclosure(synthetic=True))
    assert learning(with_curves(open_page, table)).losses == learning(with_curves(found, table)).losses
