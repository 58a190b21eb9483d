import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.curation.report.sentences import split_sentences

WORDS = [
    "No fracture",
    "1.",
    "2)",
    "Chest:",
    "Left knee",
    ".",
    ". ",
    "\n",
    "3.7 cm.",
    "Dr.",
    "XXXX",
    " - ",
    "T11.",
    "(",
    "!",
]
ANY_TEXT = st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join))


def said(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


@settings(deadline=None)  # the first call reads the word lists
@given(ANY_TEXT, st.integers(0, 30), st.integers(0, 60))
def test_spans_are_exact_ordered_and_within_bounds(text: str, start: int, length: int) -> None:
    end = min(len(text), start + length)
    start, last = min(start, end), start
    for sentence in split_sentences(text, start, end):
        assert text[sentence.start : sentence.end] == sentence.text
        assert last <= sentence.start < sentence.end <= end
        last = sentence.end


@settings(deadline=None)  # the first call reads the word lists
@given(st.lists(st.sampled_from(["No fracture.", "Lungs are clear.", "Mild swelling!", "Normal at C1."]), min_size=1))
def test_joined_sentences_come_apart_again(sentences: list[str]) -> None:
    assert said(" ".join(sentences)) == sentences
    numbered = " ".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1))
    assert said(numbered) == sentences
    assert [sentence.number for sentence in split_sentences(numbered)] == list(range(1, len(sentences) + 1))


@pytest.mark.parametrize(
    "text",
    [
        "A gap of 2 cm. at the growth plate.",
        "Seen by Dr. Grey of the ward.",
        "Wedging of T11 and T12, unlike L4-5.",
        "XXXX, disc spaces and XXXX are normal.",
        "The curve is approx. 20 degrees, i.e. mild.",
        "Fragments displaced by 1.5 mm and wrapped by a typist who had set the right margin to\na fixed column.",
        "Risser 1.",
    ],
)
def test_one_sentence_stays_one(text: str) -> None:
    assert said(text) == [text]


def test_boundaries_without_the_usual_marks() -> None:
    assert said("no effusion. no fracture.") == ["no effusion.", "no fracture."]
    assert said("Lungs clear.Heart normal.. XXXX intact. .") == ["Lungs clear.", "Heart normal..", "XXXX intact."]
    assert said("No fracture\nNo dislocation") == ["No fracture", "No dislocation"]
    assert said("- No fracture\n* Swelling") == ["No fracture", "Swelling"]
    assert said("The tip is at T3. There is no leak.") == ["The tip is at T3.", "There is no leak."]


def test_a_question_mark_before_its_word_ends_nothing() -> None:
    assert said("Cough, ? foreign body. Fracture? Swelling.") == ["Cough, ? foreign body.", "Fracture?", "Swelling."]


def test_labels_and_list_numbers_are_cut_off_the_front() -> None:
    assert said("Alignment: normal alignment. ST: no gas. For the right hip: no gap.") == [
        "Alignment:",
        "normal alignment.",
        "ST:",
        "no gas.",
        "For the right hip:",
        "no gap.",
    ]
    assert said("Chest 1. Clear. Left knee: 1) Effusion. 2) No fracture. Hip - normal.") == [
        "Chest",
        "Clear.",
        "Left knee:",
        "Effusion.",
        "No fracture.",
        "Hip -",
        "normal.",
    ]
    assert said("Compared with last week: less callus.") == ["Compared with last week: less callus."]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1.", "2."),
        ("1)", "2)"),
        ("(1)", "(2)"),
        ("a.", "b."),
        ("A)", "B)"),
        ("(a)", "(b)"),
        ("i.", "ii."),
        ("I.", "II."),
        ("#1", "#2"),
        ("#1.", "#2."),
        ("1:", "2:"),
        ("-", "-"),
        ("•", "•"),
        ("▪", "▪"),
        ("*", "*"),
        (">", ">"),
        ("✓", "✓"),
    ],
)
def test_marks_of_lists_leave(first: str, second: str) -> None:
    for text in (f"{first} No fracture.\n{second} Small effusion.", f"{first} No fracture\n{second} Small effusion"):
        assert [sentence.rstrip(".") for sentence in said(text)] == ["No fracture", "Small effusion"]


def test_letters_that_begin_a_sentence_stay() -> None:
    assert said("A gap. I see a C-spine.\nD-spine. e.g. a gap") == [
        "A gap.",
        "I see a C-spine.",
        "D-spine.",
        "e.g. a gap",
    ]
