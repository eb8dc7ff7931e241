"""Transfer to outcomes that pretraining never had as tasks, with few labels: stroke and COPD.

    python experiments/transfer.py OUT --size small --seeds 0

A model of records, and one of records, components and scores, are trained with onset hazards of all other
outcomes and none of single codes. Then, with the labels of 1, 5, 10, 25 and 100% of the train and tuning
subjects (nested): new rows on the frozen model (row), lora, full, scratch (full fine-tuning of a trunk that
was not pretrained), and LightGBM on the record summary, each with and without scores; and a table by age and
sex. Given is AUROC of 10-year risk of held-out people, mean over both outcomes, of the cases seen and in
expectation over the true risks, and the paired difference to LightGBM with the same labels and scores. Arms
with too few onsets to fit are left out. OUT/SIZE gets transfer.csv, transfer.md and the learning curves in
expectation, transfer.png.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from biobank import ONE_STEP, SIZES, Biobank, Model, arguments
from expected_auroc import ExpectedAreas
from onset_panel import HORIZONS
from replicates import Areas, labelled, write
from shares import BASELINES, BOOSTING, adapted_risks, baseline_risks

from proband.core.errors import DataError
from proband.evaluate.config import NONE
from proband.train.config import OnsetOptions

SEEDS = (0,)
OUTCOMES = ("ischaemic_stroke", "copd")
SHARES = {"tiny": (0.8, 1.0), "small": (0.01, 0.05, 0.1, 0.25, 1.0), "full": (0.01, 0.05, 0.1, 0.25, 1.0)}
SCRATCH = "scratch"
MODES = {"row": "row", "lora": "lora", "full": "full", SCRATCH: "full"}
"""Name in tables -> mode of fine-tuning."""
AUROC, EXPECTED = "AUROC", "expected AUROC"


class Arm(NamedTuple):
    """One way of learning the new outcomes.

    Attributes:
        method: A key of MODES, or a baseline of BASELINES.
        reads_scores: Whether it reads scores.
        share: Of the subjects, whose labels it sees.
    """

    method: str
    reads_scores: bool
    share: float

    @property
    def name(self) -> str:
        """In RiskTables.

        >>> Arm("row", True, 0.05).name
        'row+PGS 5%'
        """
        return f"{self.method}{'+PGS' if self.reads_scores else ''} {self.share:.0%}"


def main() -> None:
    """Run, or go on."""
    parser = arguments(__doc__, SEEDS)
    parser.add_argument("--methods", nargs="+", choices=MODES, default=list(MODES), help="beside baselines")
    given = parser.parse_args()
    arms = list(all_arms(SHARES[given.size], given.methods))
    paired = {}
    for seed in given.seeds:
        bank = Biobank.made(given.out, SIZES[given.size], seed)
        task = bank.task_of("transfer", OUTCOMES.__contains__)
        found = {arm: risk_file(bank, arm, task) for arm in arms}
        files = [file for file in found.values() if file is not None]
        results = bank.evaluated("transfer", files, [NONE], task=task)
        paired[seed] = bank.paired(results, [*files, bank.truth], HORIZONS[-1])
        print(f"transfer: seed {seed} done", flush=True)
    seeds = " ".join(map(str, given.seeds))
    kinds = {AUROC: Areas, EXPECTED: ExpectedAreas}
    rows = [
        row
        for metric, kind in kinds.items()
        for row in rows_of(arms, {seed: kind(one) for seed, one in paired.items()}, metric)
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    tables = {"AUROC by share of labels": table}
    write(given.out / given.size, "transfer", tables, f"{given.size}, seeds {seeds}")
    draw(learning_curves(table), given.out / given.size / "transfer.png")


def all_arms(shares: Sequence[float], methods: Sequence[str] = tuple(MODES)) -> Iterator[Arm]:
    """Every method and baseline, with and without scores, at every share."""
    both = [(method, reads_scores) for method in methods for reads_scores in (False, True)]
    for method, reads_scores in (*both, *BASELINES):
        yield from (Arm(method, reads_scores, share) for share in shares)


def risk_file(bank: Biobank, arm: Arm, task: Path) -> Path | None:
    """Risks of an arm; None where there are too few labels."""
    try:
        if arm.method not in MODES:
            return baseline_risks(bank, BASELINES[arm.method, arm.reads_scores], arm.name, task, arm.share)
        slug, mode = Model(f"transfer {arm.name}").slug, MODES[arm.method]
        return adapted_risks(bank, base(arm), task, slug, arm.name, arm.share, mode)
    except DataError as error:
        if not str(error).startswith(("too few labels", "labels of one class")):
            raise
        print(f"transfer: {arm.name}: {error}", flush=True)
        return None


def base(arm: Arm) -> Model:
    """The model that is adapted: it has onset hazards of the other outcomes, and none of codes."""
    settings: dict[str, object] = {"onset": OnsetOptions(codes=False)}
    name = "transfer EHR"
    if arm.method == SCRATCH:
        settings["minutes"], name = ONE_STEP, "transfer scratch"
    if not arm.reads_scores:
        return Model(name, settings=settings, left_out=OUTCOMES)
    return Model(f"{name}+PCs+PGS", "genome", True, "prefix", settings, OUTCOMES)


def rows_of(arms: Sequence[Arm], areas: Mapping[int, Areas], metric: str = AUROC) -> list[dict[str, object]]:
    """AUROC of every arm, and its paired difference to LightGBM with the same labels and scores."""
    rows = []
    for arm in arms:
        labels = {"method": arm.method, "scores": "yes" if arm.reads_scores else "no"}
        labels |= {"labels": f"{arm.share:.0%}"}
        other = arm._replace(method=BOOSTING)
        auroc = {seed: one.mean(OUTCOMES, arm.name) for seed, one in areas.items() if has(one, arm)}
        gain = {
            seed: one.gain(OUTCOMES, arm.name, other.name)
            for seed, one in areas.items()
            if arm.method in MODES and has(one, arm) and has(one, other)
        }
        rows += labelled(auroc, **labels, metric=metric) if auroc else []
        rows += labelled(gain, **labels, metric=f"{metric} less LightGBM") if gain else []
    return rows


def learning_curves(table: pl.DataFrame) -> pl.DataFrame:
    """Expected AUROC by share of labels, mean over seeds: method, scores, share (of 1), value, low and high.

    Args:
        table: Of :func:`rows_of`, one row for each seed and, of several, their mean.
    """
    auroc = table.filter(metric=EXPECTED)
    wanted = "mean" if "mean" in auroc["seed"] else auroc["seed"][0]
    share = pl.col("labels").str.strip_suffix("%").cast(pl.Float64) / 100
    columns = ("method", "scores", share.alias("share"), "value", "low", "high")
    return auroc.filter(seed=wanted).select(*columns).sort("method", "scores", "share")


def draw(curves: pl.DataFrame, path: Path) -> None:
    """A panel without scores and one with them, a line per method; bars are 95% intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4.4), sharey=True, layout="constrained")
    methods, shares = curves["method"].unique().sort().to_list(), curves["share"].unique().sort()
    for axis, (scores, title) in zip(
        axes, {"no": "records", "yes": "records and scores"}.items(), strict=True
    ):
        for place, method in enumerate(methods):
            part = curves.filter(scores=scores, method=method)
            value, beside = part["value"], 1 + 0.04 * (place - (len(methods) - 1) / 2)  # bars side by side
            ends = [(value - part["low"]).to_list(), (part["high"] - value).to_list()]
            axis.errorbar(beside * part["share"], value, ends, marker="o", color=f"C{place}", label=method)
        axis.set(xscale="log", title=title, xlabel="share of labels")
        axis.set_xticks(shares, [f"{one:.0%}" for one in shares])
        axis.minorticks_off()
    axes[0].set(ylabel="expected AUROC, 10 years, stroke and COPD")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def has(areas: Areas, arm: Arm) -> bool:
    """Whether the arm has risks of everybody for both outcomes."""
    return set(OUTCOMES) <= set(areas.paired.with_cases(1, [arm.name]))


if __name__ == "__main__":
    main()
