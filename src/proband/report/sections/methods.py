"""How the results came to be, without paths of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from proband.core.files.manifest import read_manifest
from proband.core.files.provenance import without_path
from proband.report.sections.checklists import CHECKLISTS, Checklist
from proband.report.sections.found import Found
from proband.report.sections.sources import of_sources
from proband.report.tables import SPLIT_NAMES, TextTable, num_adjusted, plain

_SHOWN_VERSIONS = ("proband", "python", "numpy", "polars", "scikit-learn", "lightgbm")
TO_FILL = "To be filled in by the author."


class Fact(NamedTuple):
    """A title and a text; ``css`` marks the day on which the results were made."""

    title: str
    text: str
    css: str = ""


def how_made(found: Found) -> list[Fact]:
    """Command, seeds, versions and inputs."""
    manifest = found.manifest
    config = manifest.get("config", {})
    counts = manifest.get("counts", {})
    facts = [
        Fact("Command", shown_command(manifest)),
        Fact("Finished", str(manifest.get("finished", "")), "made-on"),
        Fact("Seed", str(manifest.get("seed", ""))),
        Fact("Split judged", SPLIT_NAMES.get(found.split, found.split)),
        Fact("Bootstrap replicates", f"{config.get('bootstrap', 0):,}, over {_resampled(found)}"),
        Fact("Versions", _versions(manifest)),
    ]
    inputs = manifest.get("inputs", {})
    facts += [
        Fact(f"Input {without_path(name)}", f"SHA-256 {str(one)[:16]}…") for name, one in inputs.items()
    ]
    if "num_subjects_without_genome" in counts:
        number = found.rules.count(counts["num_subjects_without_genome"])
        facts.append(Fact("Subjects without genome", number))
    return facts


def _resampled(found: Found) -> str:
    """What the bootstrap drew."""
    if not found.settings.get("kinship"):
        return "subjects"
    return "families (relatives to the third degree together)"


def uncertainty(found: Found) -> str:
    """Where intervals and p values come from, and for what the latter are adjusted."""
    if not found.resampled:
        return "There are no intervals and no p values: the results were evaluated without resamples."
    said = f"Intervals are 2.5 and 97.5 percentiles of a bootstrap over {_resampled(found)}; p is two-sided"
    number = num_adjusted(found.tables["differences"])
    if number < 2:
        return f"{said} and not adjusted for the number of comparisons."
    return (
        f"{said} and not adjusted. Over up to {number} outcomes of one metric, horizon and pair of models, "
        "q is the false discovery rate (Benjamini and Hochberg), and p max-T holds for all of them together "
        "(Romano and Wolf); neither is adjusted for the number of metrics, horizons and pairs."
    )


def error_of_fit(found: Found) -> str:
    """How far risks themselves are from those of a fit to other people; empty where it is not known."""
    known = found.manifest.get("notes", {}).get("error_of_fit", {})
    if not known:
        return ""
    each = ", ".join(f"{model} {share:.0%}" for model, share in known.items() if model in found.models)
    return (
        "Risks have an error of their own: had other people been trained on, they would be others. By the "
        f"jackknife over train people it is, in the median and as a share of the risk, {each}."
    )


def how_stage(folder: Path, what: str) -> list[Fact]:
    """How another stage's folder came to be, without paths.

    Args:
        folder: The folder.
        what: Of what it tells, such as simulated futures.
    """
    manifest = read_manifest(folder)
    inputs = [
        Fact(f"Input {without_path(name)} of {what}", f"SHA-256 {str(digest)[:16]}…")
        for name, digest in manifest.get("inputs", {}).items()
    ]
    title = what[:1].upper() + what[1:]
    finished = Fact(f"{title} finished", str(manifest.get("finished", "")), "made-on")
    return [Fact(f"Command of {what}", shown_command(manifest)), finished, *inputs]


def shown_command(manifest: Mapping[str, Any]) -> str:
    """The command with its options and numbers; words that somebody chose freely are left out.

    >>> shown_command({"command": ["proband", "evaluate", "risk", "--truth", "mine", "--seed", "1"]})
    'proband evaluate … --truth … --seed 1'
    """
    words = [str(word) for word in manifest.get("command", [])]
    shown = words[:2]
    for word in words[2:]:
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            shown.append(option + (f"={value if _is_number(value) else '…'}" if equals else ""))
        else:
            shown.append(word if _is_number(word) else "…")
    return " ".join(shown)


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal()


def filled_checklists(found: Found) -> list[tuple[Checklist, TextTable]]:
    """Each checklist with what the results know; the rest is left to the author."""
    known = _known(found)
    return [
        (
            one,
            TextTable(
                ["Item", one.asks, "Here"],
                [[*item[:2], known.get(item[2], TO_FILL)] for item in one.items],
                3,
            ),
        )
        for one in CHECKLISTS
    ]


def _known(found: Found) -> dict[str, str]:
    """Key of a fact in :data:`CHECKLISTS` -> what the results tell."""
    synthetic = {"synthetic": "A synthetic biobank: no data of people."} if found.rules.synthetic else {}
    return (
        _ALWAYS | _of_results(found) | _of_design(found) | _of_analysis(found) | of_sources(found) | synthetic
    )


_ALWAYS = {
    "title": "The page says that risk models were evaluated, and on which outcomes.",
    "flow": "See the cohort section: subjects left after each step, per outcome.",
    "missing": "A subject without genome is predicted from the record; a value not recorded is no token.",
    "limits": "See the limits at the end of the page.",
    "competing": "Aalen-Johansen incidence; inverse probability of censoring weights.",
    "leakage": "The record up to and including the prediction time; prevalent cases leave the risk set; "
    "codes that nearly determine an outcome are named, if any, under Cohort.",
}


def _of_results(found: Found) -> dict[str, str]:
    """What is said only where the results hold it."""
    wide = " with 95% intervals" if found.resampled else ""
    known = {
        "performance": f"Discrimination, calibration and net benefit{wide}, per outcome and horizon.",
    }
    metrics, groups = found.tables["metrics"], found.tables["subgroups"]["dimension"].unique().sort()
    strata = metrics.filter(metric="auroc_within_age_sex").drop_nulls("value").height
    parts = (
        [f"Subgroups by {', '.join(plain(name).lower() for name in groups)}, with gaps"]
        if len(groups)
        else []
    )
    parts += ["AUROC within strata of age and sex"] if strata else []
    if parts:
        known["strata"] = "; ".join(parts) + "."
    if found.tables["deciles"].height:
        predicted = ", observed and predicted" if found.tables["decile_risks"].height else ""
        known["deciles"] = f"Incidence by decile of one score per outcome{predicted}."
    return known


def _of_design(found: Found) -> dict[str, str]:
    horizons = sorted({horizon for each in found.shown.values() for horizon in each})
    years = ", ".join(f"{horizon:g}" for horizon in horizons)
    names = ", ".join(map(plain, found.shown))
    split = SPLIT_NAMES.get(found.split, found.split)
    return {
        "outcomes": f"{len(found.shown)} outcomes: {names}, as task.yaml of the results defines them.",
        "horizons": f"By {years} years, death competing.",
        "models": f"{', '.join(found.models)}.",
        "genome": f"Read polygenic scores: {_listed(found.with_genome, found)}.",
        "splits": f"Judged on the {split} split; baselines were fitted on train.",
        "baselines": f"On the same subjects: {_listed(_baselines(found), found)}.",
    }


def _of_analysis(found: Found) -> dict[str, str]:
    manifest, config = found.manifest, found.manifest.get("config", {})
    number = found.rules.count(manifest.get("counts", {}).get("num_subjects"))
    replicates = f"{config.get('bootstrap', 0):,} replicates, seed {manifest.get('seed')}"
    bootstrap = f"Bootstrap over {_resampled(found)}, {replicates}."
    return {
        "size": f"{number} subjects judged; onsets are in the section of each outcome.",
        "uncertainty": bootstrap if found.resampled else "None: evaluated without resamples.",
        "software": f"{_versions(manifest)}.",
    }


def _versions(manifest: Mapping[str, Any]) -> str:
    versions = manifest.get("versions", {})
    return ", ".join(f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions)


def _baselines(found: Found) -> set[str]:
    return set(found.tables["models"].filter(kind="baseline")["model"])


def _listed(names: set[str], found: Found) -> str:
    return ", ".join(model for model in found.models if model in names) or "none"
