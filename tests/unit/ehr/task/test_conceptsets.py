import json
from pathlib import Path

import pytest

from proband.core.errors import ConfigError, DataError
from proband.ehr.outcomes import load_task, require_known, task_files
from proband.ehr.task.conceptsets import concept_codes

T2D = {"CONCEPT_ID": 1, "CONCEPT_CODE": "T2D", "VOCABULARY_ID": "SNOMED", "CONCEPT_NAME": "Type 2 diabetes"}
FOOT = {"CONCEPT_ID": 2, "CONCEPT_CODE": "FOOT", "VOCABULARY_ID": "SNOMED"}


def item(concept, **flags):
    return {"concept": concept, **flags}


def write(folder: Path, *items: dict, name: str = "set.json") -> Path:
    (folder / name).write_text(json.dumps({"items": list(items)}))
    return folder / name


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """1 with the children 2 and 3, 4 below 3; ICD code 9 is mapped to 4; tables as Athena writes them."""
    folder = tmp_path / "vocabulary"
    folder.mkdir()
    codes = {1: "T2D", 2: "FOOT", 3: "EYE", 4: "EYE_BLEED"}
    rows = [f'{number}\t{code} "disorder\tSNOMED\t{code}' for number, code in codes.items()]
    header = "concept_id\tconcept_name\tvocabulary_id\tconcept_code"
    (folder / "CONCEPT.csv").write_text("\n".join([header, *rows, "9\tICD\tICD10CM\tE11.3", ""]))
    pairs = ["1\t1", "1\t2", "1\t3", "1\t4", "2\t2", "3\t3", "3\t4", "4\t4"]
    (folder / "CONCEPT_ANCESTOR.csv").write_text(
        "\n".join(["ancestor_concept_id\tdescendant_concept_id", *pairs, ""])
    )
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(
        "concept_id_1\tconcept_id_2\trelationship_id\tinvalid_reason\n"
        "9\t4\tMaps to\t\n8\t4\tMaps to\tD\n7\t4\tIs a\t\n"
    )
    return folder


def test_listed_concepts_less_those_excluded(tmp_path):
    path = write(tmp_path, item(T2D), item(FOOT), item(FOOT, isExcluded=True))
    assert concept_codes(path, None) == ["SNOMED//T2D"]


def test_name_around_the_expression_and_a_byte_order_mark(tmp_path):
    content = {"id": 7, "name": "t2d", "expression": {"items": [item(T2D, includeMapped=False)]}}
    path = tmp_path / "set.json"
    path.write_text("\ufeff" + json.dumps(content))
    assert concept_codes(path, None) == ["SNOMED//T2D"]


@pytest.mark.parametrize(
    ("items", "codes"),
    [
        ([item(T2D, includeDescendants=True)], ["EYE", "EYE_BLEED", "FOOT", "T2D"]),
        ([item(T2D, IncludeDescendants=True)], ["EYE", "EYE_BLEED", "FOOT", "T2D"]),
        (
            [
                item(T2D, includeDescendants=True),
                item({"CONCEPT_ID": 3}, isExcluded=True, includeDescendants=True),
            ],
            ["FOOT", "T2D"],
        ),
        (
            [item(T2D, includeDescendants=True), item({"CONCEPT_ID": 3}, isExcluded=True)],
            ["EYE_BLEED", "FOOT", "T2D"],
        ),
        ([item({"CONCEPT_ID": 4})], ["EYE_BLEED"]),
    ],
)
def test_descendants_come_from_the_vocabulary(tmp_path, vocabulary, items, codes):
    found = concept_codes(write(tmp_path, *items), vocabulary)
    assert found == [f"SNOMED//{code}" for code in codes]


def test_mapped_concepts_are_those_of_valid_maps_to_rows(tmp_path, vocabulary):
    path = write(tmp_path, item({"CONCEPT_ID": 3}, includeDescendants=True, includeMapped=True))
    assert concept_codes(path, vocabulary) == ["ICD10CM//E11.3", "SNOMED//EYE", "SNOMED//EYE_BLEED"]


def test_a_concept_that_the_vocabulary_lacks_keeps_its_code_or_is_said(tmp_path, vocabulary, capsys):
    other = {"CONCEPT_ID": 50, "CONCEPT_CODE": "X", "VOCABULARY_ID": "OWN"}
    path = write(tmp_path, item(other, includeDescendants=True), item({"CONCEPT_ID": 51}))
    assert concept_codes(path, vocabulary) == ["OWN//X"]
    assert "1 concepts are not in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "unreadable concept set; in .*set.json"),
        ("[" * 100_000, "unreadable concept set"),
        ("[]", "no concept set; in .*found list"),
        ('{"items": 3}', "no concept set"),
        (
            '{"ConceptSets": [], "PrimaryCriteria": {}}',
            "a cohort definition is no concept set.*remedy: export",
        ),
        ('{"items": []}', "concept set includes no concept; in .*found 0 items"),
        (
            '{"items": [{"concept": {"CONCEPT_CODE": "x"}}]}',
            "unusable item.*item 1; found concept.CONCEPT_ID",
        ),
        ('{"items": [{"concept": {"CONCEPT_ID": 1}, "isExcluded": [1]}]}', "item 1; found isExcluded"),
        (json.dumps({"items": [item(T2D), item(T2D, isExcluded=True)]}), "excludes all that it includes"),
    ],
)
def test_what_is_no_concept_set_is_refused_in_a_line(tmp_path, text, message):
    path = tmp_path / "set.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        concept_codes(path, None)
    assert "\n" not in str(caught.value)


def test_descendants_without_the_vocabulary_say_what_is_needed(tmp_path, vocabulary):
    path = write(tmp_path, item(T2D), item(FOOT, includeDescendants=True))
    with pytest.raises(
        ConfigError, match=r"needs the vocabulary.*found 1 concepts.*SNOMED//FOOT.*vocabulary: FOLDER"
    ):
        concept_codes(path, None)
    (vocabulary / "CONCEPT_ANCESTOR.csv").unlink()
    with pytest.raises(DataError, match=r"missing table concept_ancestor; in .*vocabulary"):
        concept_codes(path, vocabulary)
    with pytest.raises(DataError, match="no such vocabulary"):
        concept_codes(path, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no table of the vocabulary"):
        concept_codes(path, tmp_path / "empty")


REST = "prediction: {years_after_entry: 1}\nhorizons_years: 5\n"


@pytest.mark.parametrize(
    ("table", "flag"),
    [("CONCEPT_ANCESTOR", "includeDescendants"), ("CONCEPT_RELATIONSHIP", "includeMapped")],
)
def test_an_empty_table_makes_no_smaller_set(tmp_path, vocabulary, table, flag):
    path = vocabulary / f"{table}.csv"
    path.write_text(path.read_text().split("\n")[0] + "\n")
    with pytest.raises(DataError, match=f"empty table {table.lower()}; in .*vocabulary.*remedy"):
        concept_codes(write(tmp_path, item(T2D, **{flag: True})), vocabulary)
    assert concept_codes(write(tmp_path, item(T2D, **{flag: None})), vocabulary) == ["SNOMED//T2D"]


def test_concepts_without_descendants_are_said(tmp_path, vocabulary, capsys):
    icd = item({"CONCEPT_ID": 9}, includeDescendants=True)
    assert concept_codes(write(tmp_path, icd, item(T2D)), vocabulary) == ["ICD10CM//E11.3", "SNOMED//T2D"]
    said = capsys.readouterr().err
    assert "task: 1 concepts asked for with descendants are no ancestors in" in said
    assert said.rstrip().endswith("stand for themselves alone: 9")


def test_a_set_of_which_the_vocabulary_has_no_concept(tmp_path, vocabulary):
    path = write(tmp_path, item({"CONCEPT_ID": 77}))
    with pytest.raises(
        DataError, match=r"no concept of the set is in the vocabulary; .*1 concepts, first 77"
    ):
        concept_codes(path, vocabulary)


def test_a_task_names_concept_sets_of_outcomes_and_steps(tmp_path, vocabulary):
    write(tmp_path, item(T2D, includeDescendants=True))
    write(tmp_path, item(FOOT), name="foot.json")
    (tmp_path / "task.yaml").write_text(
        "outcomes:\n  t2d: {concept_set: {file: set.json, vocabulary: vocabulary}, prefixes: ICD10CM//E11}\n"
        "  foot: {steps: [{codes: A//1}, {concept_set: foot.json, within_days: 9}]}\n" + REST
    )
    task = load_task(tmp_path / "task.yaml")
    assert task.outcomes["t2d"].codes == tuple(
        f"SNOMED{slash}{one}" for slash in ("//", "/") for one in ("EYE", "EYE_BLEED", "FOOT", "T2D")
    )
    assert task.outcomes["t2d"].prefixes == ("ICD10CM//E11",)
    assert task.outcomes["foot"].steps[1].codes == ("SNOMED//FOOT", "SNOMED/FOOT")
    names = [path.name for path in task_files(tmp_path / "task.yaml")]
    assert names == ["task.yaml", "set.json", "foot.json"]


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("{concept_set: none.json}", "missing concept set; in .*none.json; remedy: name it relative"),
        ("{concept_set: {flie: x}}", "unknown key outcomes.a.concept_set.flie.*did you mean file"),
        ("{concept_set: 3}", "outcomes.a.concept_set.*task.yaml"),
        ("{concept_set: null}", "outcomes.a.concept_set: names no code"),
        ("{concept_sets: x}", "unknown key outcomes.a.concept_sets.*did you mean concept_set"),
        ("{steps: [{concept_set: none.json}, {codes: b}]}", "missing concept set"),
    ],
)
def test_mistakes_in_the_task_file_are_named(tmp_path, outcome, message):
    (tmp_path / "task.yaml").write_text(f"outcomes: {{a: {outcome}}}\n{REST}")
    with pytest.raises(ConfigError, match=message) as caught:
        load_task(tmp_path / "task.yaml")
    assert "\n" not in str(caught.value)


def test_a_concept_set_selects_codes_of_one_slash_or_two(tmp_path, capsys):
    write(tmp_path, item(T2D), item(FOOT))
    (tmp_path / "task.yaml").write_text("outcomes: {a: {concept_set: set.json}}\n" + REST)
    task = load_task(tmp_path / "task.yaml")
    for known in (["SNOMED/T2D"], ["SNOMED//T2D"], ["SNOMED//T2D", "SNOMED/T2D"]):
        require_known(task, known)
        assert task.outcomes["a"].select(known) == known
        assert "outcome a lists 1 codes that no event has, first SNOMED//FOOT" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="found 2 that no event has, first SNOMED//T2D"):
        require_known(task, ["ICD10CM//E11"])
