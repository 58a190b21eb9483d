"""Files of concepts: ROCO's own lines, JSON Lines, and what untrusted files may hold."""

import json
from pathlib import Path

import pytest

from pedclip.retrieval import concept_overlap, read_concepts
from pedclip.retrieval.measures.concept_files import MAX_LINE_BYTES
from pedclip.triplets.tabular import TableError


def written(folder: Path, content: str | bytes, name: str = "cuis.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_json(folder: Path, *rows: object, name: str = "pairs.jsonl") -> Path:
    return written(folder, "\n".join(json.dumps(row) for row in rows), name)


def test_lines_of_roco(tmp_path: Path) -> None:
    # One tab or two after the id, an id with nothing behind it, a mark of UTF-8, Windows line ends, a blank line.
    lines = "\ufeffROCO_00020\t\tC0040395\tC1692321\r\nROCO_00027\tC0043299\r\n\r\nROCO_81890\t\r\n"
    found = read_concepts(written(tmp_path, lines))
    assert found == {
        "ROCO_00020": {"C0040395", "C1692321"},
        "ROCO_00027": {"C0043299"},
        "ROCO_81890": frozenset(),
    }
    assert list(found) == ["ROCO_00020", "ROCO_00027", "ROCO_81890"]


def test_rows_of_json_lines(tmp_path: Path) -> None:
    rows = (
        {"report_id": "a", "image_files": ["x.jpg"], "umls_cuis": ["C0043299", "C0043299"]},
        {"report_id": "b", "umls_cuis": []},
    )
    assert read_concepts(str(as_json(tmp_path, *rows))) == {"a": {"C0043299"}, "b": frozenset()}
    # The id that the package gives to the film goes first, and a column may be named.
    other = {"image_id": "i", "report_id": "r", "umls_cuis": ["C0000001"], "more": ["C0000002"]}
    path = as_json(tmp_path, other, name="OTHER.JSONL")
    assert read_concepts(path) == {"i": {"C0000001"}}
    assert read_concepts(path, id_column="report_id", concepts_column="more") == {"r": {"C0000002"}}


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    line = '{"report_id": "b", "umls_cuis": []}\n{"report_id": "a", "umls_cuis": ["C0000001"], "umls_cuis": []}'
    with pytest.raises(TableError, match=r"line 2: not JSON \(RepeatedKey\)"):
        read_concepts(written(tmp_path, line, "pairs.jsonl"))


def test_ids_of_pubmed_central_are_no_codes(tmp_path: Path) -> None:
    assert read_concepts(written(tmp_path, "PMC1234567_f1\tC0000001\n")) == {"PMC1234567_f1": {"C0000001"}}


def test_what_is_read_can_be_compared(tmp_path: Path) -> None:
    found = read_concepts(written(tmp_path, "a\tC0000001\tC0000002\nb\tC0000002\n"))
    sets = [*found.values()]
    (result,) = concept_overlap([[0, 1], [1, 0]], sets, sets, ks=(1,), num_resamples=1)
    assert result.score.value == 0.75  # "a" finds "b", which has half of its concepts; "b" finds "a", which has all


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\tC0000001\n\tC0000002\n", "line 2: no image id"),
        ("a\tC0000001\nb\n\na\tC0000002\n", "line 4: the same image id as in line 1"),
        ("a\tC000001\n", "line 1: a code that is no CUI"),
        ("a\tC0000001 C0000002\n", "line 1: a code that is no CUI"),
        ("a\tC٠٠٠٠٠٠١\n", "line 1: a code that is no CUI"),  # digits, but of another script
        ("a" * 1001 + "\tC0000001\n", "line 1: no image id"),
        ("\n \n", "has no tab"),
        ("\t\n", "holds no film"),
        ("", "holds no film"),
        ("a\tC0000001\nb,C0000002\n", "line 2: codes or commas in the image id; put tabs between"),
        ("a;C0000001;C0000002\n", "line 1: codes or commas in the image id"),
        ("a C0000001\n", "line 1: codes or commas in the image id"),
        ("C0000001\tC0000002\n", "line 1: codes or commas in the image id"),
        ("a\nb\n", "has no tab; expected a line per film"),
        (b"a\tC0000001\n\xff\xfe\n", r"cannot be read \('utf-8' codec"),
    ],
)
def test_lines_that_say_nothing_are_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        read_concepts(written(tmp_path, content))


def test_a_file_without_line_ends_is_not_read_whole(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="line 1: longer than"):
        read_concepts(written(tmp_path, b"a" * (MAX_LINE_BYTES + 1)))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"report_id": "a", "umls_cuis": None}], "line 1: column 'umls_cuis' holds no list"),
        ([{"report_id": "a", "umls_cuis": "C0000001"}], "line 1: column 'umls_cuis' holds no list"),
        ([{"report_id": "a", "umls_cuis": []}, {"umls_cuis": []}], "line 2: no image id"),
        ([{"report_id": 7, "umls_cuis": []}], "line 1: no image id"),
        ([{"report_id": "a", "umls_cuis": []}] * 2, "line 2: the same image id as in line 1"),
        ([{"report_id": "a", "umls_cuis": [["C0000001"]]}], "line 1: a code that is no CUI"),
        ([{"report_id": "a", "umls_cuis": []}, []], "line 2: expected a JSON object, got list"),
        ([{"umls_cuis": []}], "has no column any of image_id, .*; name it with id_column, one of umls_cuis"),
        ([{"report_id": "a"}], "has no column any of umls_cuis, .*; name it with concepts_column"),
    ],
)
def test_rows_that_say_nothing_are_refused(tmp_path: Path, rows: list[object], words: str) -> None:
    with pytest.raises(TableError, match=words):
        read_concepts(as_json(tmp_path, *rows))


def test_misuse_is_refused_without_the_words_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"absent\.txt cannot be read"):
        read_concepts(tmp_path / "absent.txt")
    with pytest.raises(TableError, match=r"absent\.jsonl cannot be read"):
        read_concepts(tmp_path / "absent.jsonl")
    with pytest.raises(TableError, match="cannot be read"):
        read_concepts(tmp_path)
    path = as_json(tmp_path, {"report_id": "a", "umls_cuis": []})
    with pytest.raises(TableError, match="has no column 'cuis'; name it with concepts_column"):
        read_concepts(path, concepts_column="cuis")
    with pytest.raises(TableError, match="has no names of columns"):
        read_concepts(written(tmp_path, "a\tC0000001"), id_column="a")
    # Whose film a line is of may be a patient's name.
    for content in ("Jane Doe\tJane Doe\n", "Jane Doe\nJane Doe\n"):
        with pytest.raises(TableError) as caught:
            read_concepts(written(tmp_path, content))
        assert "Jane" not in str(caught.value)
