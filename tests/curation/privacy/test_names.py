"""Names in running text: the forms in which they stand, and what looks alike and must pass."""

import json
from pathlib import Path

import pytest

from benchmarks.identifiers import made, recall
from pedclip.curation.datasheet import IDENTIFIER_SEARCH
from pedclip.curation.privacy import name_words, names
from pedclip.curation.privacy.names import find_names

REPOSITORY = Path(__file__).parents[3]

FOUND = [
    # Behind a word for a person, listed or not, with particles, titles and hyphens.
    ("Patient Anna Schmidt, fracture of the radius.", "Anna Schmidt"),
    ("Patient Quenby Zubrzhitska, fracture of the radius.", "Quenby Zubrzhitska"),
    ("Patient Jones, no fracture.", "Jones"),
    ("Baby Brzoskwinia has clear lungs.", "Brzoskwinia"),
    ("Frau Anke von der Heide hat eine Fraktur.", "Anke von der Heide"),
    ("Seen with Prof. Dr. med. von Ahlefeld today.", "Ahlefeld"),
    ("Told Ha-eun Vrabie at the bedside.", "Ha-eun Vrabie"),
    # Last name first, with or without an age.
    ("Schmidt, Anna: no fracture.", "Schmidt, Anna"),
    ("Zubrzhitska, Quenby: normal chest.", "Zubrzhitska, Quenby"),
    ("Zubrzhitska, Quenby, 7 years, clear lungs.", "Zubrzhitska, Quenby"),
    ("SCHMIDT, LENA: NO FRACTURE.", "SCHMIDT, LENA"),
    ("ZUBRZHITSKA, QUENBY: NO FRACTURE.", "ZUBRZHITSKA, QUENBY"),
    ("PATIENT ANNA SCHMIDT HAS A FRACTURE.", "ANNA SCHMIDT"),
    ("PATIENT QUENBY ZUBRZHITSKA HAS A FRACTURE.", "QUENBY ZUBRZHITSKA"),
    ("patient anna schmidt has a fracture.", "anna schmidt"),
    ("PATIENT QUENBY ZUBRZHITSKA, NO FRACTURE.", "QUENBY ZUBRZHITSKA"),
    # In the sentence, by the lists and by what people do.
    ("Emma has a buckle fracture.", "Emma"),
    ("Buckle fracture in Tariq, healed.", "Tariq"),
    ("Fracture of Siobhán O'Brien is healing.", "Siobhán O'Brien"),
    ("Film of Mark Thompson is unchanged.", "Mark Thompson"),
    ("Quillfeather fell from a swing.", "Quillfeather"),
    ("Quillfeather has clear lungs.", "Quillfeather"),
    ("Quillfeather is a 7-year-old with a fracture.", "Quillfeather"),
    ("Thompson is a 7-year-old with a fracture.", "Thompson"),
    ("Quillfeather's fracture shows callus.", "Quillfeather's"),
    ("Shown to Quillfeather yesterday.", "Quillfeather"),
    ("Lungs of Ottokar Quillfeather are clear.", "Ottokar Quillfeather"),
    ("Reviewed because of the lucency by J. Smith.", "Smith"),
    ("The film of Kowalczyk is clear.", "Kowalczyk"),
    ("Иванов: clear lungs.", "Иванов"),
    ("王芳 has clear lungs.", "王芳"),
]
CLEAN = [
    "Salter-Harris II fracture. Salter Harris type II fracture. Colles fracture. Pott's disease. Smith's fracture.",
    "Osgood-Schlatter disease; Legg-Calve-Perthes disease; Arnold-Chiari malformation; Hill-Sachs lesion.",
    "A Jones fracture is absent. Tinel's sign is absent. Infant Perthes disease.",
    "May represent infection. Fracture seen in May. Graf type IIa hip. Greulich and Pyle standard of 12 years.",
    "Kirschner wires, a Foley catheter and Harrington rods are in place. Mickey button.",
    "Carina is midline. Ilium and ischium are intact. Coxa vara. Radius and ulna are intact.",
    "RIGHT HAND: NO FRACTURE. CHEST, ABDOMEN: CLEAR LUNGS. PICC LINE IN PLACE. TEMPORAL LOBE IS NORMAL.",
    "Right hand, left foot: normal. Chest, Abdomen: Unremarkable.",
    "Patient rotated. Patient Rotated. Patient Positioning is suboptimal. Infant Chest.",
    "ANA was positive. GERD is known. Sarcoidosis would be a concern. Treated with Omnipaque.",
    "Braun cannula in place. Hancock bioprosthesis is unchanged. Simpson rule was used.",
    "PATIENT QUENBY ZUBRZHITSKA LEFT WRIST.",
    "Positive for Pneumocystis. Cholecystectomy was performed. Prominent column of Bertin.",
    "E. Coli and S. Aureus. Weber B fracture, Gartland III. Ring-enhancing lesion.",
    "pH of 7.3, α angle of 60 degrees, 5 μm slices.",
]


@pytest.mark.parametrize(("text", "name"), FOUND)
def test_names_are_found_in_every_form(text: str, name: str) -> None:
    assert [text[start:end] for start, end in find_names(text)] == [name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Told Emma; Tariq agrees.", ["Emma", "Tariq"]),
        ("Told Emma/Tariq.", ["Emma", "Tariq"]),
        ("Seen by Emma. Tariq agrees.", ["Emma", "Tariq"]),
        ("Emma, Tariq, Lena: told.", ["Emma, Tariq", "Lena"]),  # one comma stands between last and first name
    ],
)
def test_a_name_ends_where_another_begins(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in find_names(text)] == expected


@pytest.mark.parametrize("text", CLEAN)
def test_eponyms_anatomy_devices_and_drugs_are_no_names(text: str) -> None:
    assert [text[start:end] for start, end in find_names(text)] == []


def test_a_text_is_judged_again_after_its_words_are_known() -> None:
    # Words that cannot begin a name are remembered; a name among them is none of them.
    text = "The lungs of Siobhán O'Brien are clear."
    assert list(find_names(text)) == list(find_names(text)) != []
    assert list(find_names("The lungs are clear.")) == []


@pytest.mark.parametrize(("most", "looks"), [(100, 4), (4, 4), (0, 8)])
def test_words_that_begin_no_name_are_looked_at_once_up_to_a_limit(
    most: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, remembered = [], set[str]()

    def properties(word: str) -> int:
        looked.append(word)
        return name_words.properties(word)

    monkeypatch.setattr(names, "_harmless", lambda: remembered)
    monkeypatch.setattr(names, "_MOST", most)
    monkeypatch.setattr(names, "properties", properties)
    assert list(find_names("The lungs are clear.")) == list(find_names("The lungs are clear.")) == []
    assert len(looked) == looks


def test_recall_on_invented_people_and_eponyms_are_as_published() -> None:
    published = json.loads((REPOSITORY / "benchmarks/results/identifiers.json").read_text(encoding="utf-8"))
    assert len(made("developing")) == len(made("held_out")) == 150
    assert not set(made("developing")) & set(made("held_out"))
    for half in ("developing", "held_out"):
        assert recall(half) == published[half]
    assert published["held_out"]["recall"] > 0.9
    packs = published["packs"].values()
    assert IDENTIFIER_SEARCH == {
        "invented_people": 150,
        "sentences": published["held_out"]["sentences"],
        "recall_of_names": published["held_out"]["recall"],
        "sentences_of_real_reports": sum(pack["sentences"] for pack in packs),
        "blocked_by_a_supposed_name": sum(pack["with_a_name"] for pack in packs),
    }
    assert [text for text in made("eponyms") if list(find_names(text))] == []
