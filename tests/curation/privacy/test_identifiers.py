"""Identifiers in invented texts: those that must be found, and ordinary phrases that must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from pedclip.curation.privacy.burned_in_text import burned_in_text
from pedclip.curation.privacy.identifiers import find_identifiers
from tests.curation.archive.archive_files import picture

FOUND = [
    ("Compared with 3/14/2021.", "date", "3/14/2021"),
    ("Prior of 14.03.21 reviewed.", "date", "14.03.21"),
    ("Film from 2021-03-14 07:25 AM.", "date", "2021-03-14 07:25 AM"),
    ("Compared with March 14, 2021.", "date", "March 14, 2021"),
    ("Compared with 14 Mar 2021.", "date", "14 Mar 2021"),
    ("Seen on the 3rd of June.", "date", "3rd of June"),
    ("As in OCTOBER 2019.", "date", "OCTOBER 2019"),
    ("As on the study of 4/17, stable.", "date", "of 4/17"),
    ("Acquired 20210314 at bedside.", "date", "20210314"),
    ("Discussed with Dr. Quillfeather.", "name", "Quillfeather"),
    ("Called to Nurse Amberley Voss at once.", "name", "Amberley Voss"),
    ("Dictated by: Tobin Marchetti, MD", "name", "Tobin Marchetti, MD"),
    ("Electronically signed by T. O'Malloran.", "name", "T. O'Malloran"),
    ("Patient name: Fennimore, Odette", "name", "Fennimore, Odette"),
    ("Reported to Mrs VANTERPOOL.", "name", "VANTERPOOL"),
    ("Telephoned to nurse Odderskov.", "name", "Odderskov"),
    ("The father (Leopold Anstey) was told.", "name", "Leopold Anstey"),
    ("Stable since 5/2012.", "date", "5/2012"),
    ("MRN: 00482913", "record number", "MRN: 00482913"),
    ("Accession number CR-2219045.", "record number", "Accession number CR-2219045"),
    ("See 448120397 for the prior.", "record number", "448120397"),
    ("Call 555-014-2231 with questions.", "phone", "555-014-2231"),
    ("Call (555) 014-2231.", "phone", "(555) 014-2231"),
    ("Reached on pager 40417.", "phone", "pager 40417"),
    ("Mail to reader.one@rad.example.org.", "e-mail", "reader.one@rad.example.org"),
    ("See https://pacs.example.org/x?id=4", "url", "https://pacs.example.org/x?id=4"),
    ("Outside film from Larkmoor General Hospital.", "hospital", "Larkmoor General Hospital"),
    ("Transferred from St. Odile yesterday.", "hospital", "St. Odile"),
    ("Lives at 1420 Willow Bend Road.", "address", "1420 Willow Bend Road"),
    ("Informed at 14:05.", "time", "14:05"),
    ("This 93-year-old fell.", "age over 89", "93-year-old"),
    # The same kinds in other languages and formats.
    ("Vom 15. März 2024 unverändert.", "date", "15. März 2024"),
    ("Compared with 15 mars 2024.", "date", "15 mars 2024"),
    ("Visto 1er juillet, sin cambio.", "date", "1er juillet"),
    ("Placa del 15 de marzo de 2024.", "date", "15 de marzo de 2024"),
    ("Film of 3 marzo 2023.", "date", "3 marzo 2023"),
    ("Foto van 15 maart 2024.", "date", "15 maart 2024"),
    ("Zdjęcie z 5 września 2023.", "date", "5 września 2023"),
    ("Röntgen 15 Ağustos 2023.", "date", "15 Ağustos 2023"),
    ("As in octobre 2023.", "date", "octobre 2023"),
    ("Film of 2024. március 15, stable.", "date", "2024. március 15"),
    ("Unverändert zum 15. 3. 2024 gesehen.", "date", "15. 3. 2024"),
    ("Aufnahme am 15.03. ist normal.", "date", "am 15.03."),
    ("Stand 03.2024 unchanged.", "date", "03.2024"),
    ("Film 2024-03 unchanged.", "date", "2024-03"),
    ("Film 15MAR2024 unchanged.", "date", "15MAR2024"),
    ("Since March '24 stable.", "date", "March '24"),
    ("Film 15/III/2024 unchanged.", "date", "15/III/2024"),
    ("Film 2024年3月15日 unchanged.", "date", "2024年3月15日"),
    ("Um 14.30 Uhr informiert.", "time", "14.30 Uhr"),
    ("Pat.-Nr. 1234567 unchanged.", "record number", "Pat.-Nr. 1234567"),
    ("Patient ID AB123456 unchanged.", "record number", "Patient ID AB123456"),
    ("Fallnummer 20231234 unchanged.", "record number", "Fallnummer 20231234"),
    ("NHS number 943 476 5919 unchanged.", "record number", "NHS number 943 476 5919"),
    ("Case no 2021-04432 unchanged.", "record number", "Case no 2021-04432"),
    ("Dossier n° 12345 unchanged.", "record number", "Dossier n° 12345"),
    ("Film no. 44123 unchanged.", "record number", "Film no. 44123"),
    ("CPR 010203-1234 unchanged.", "record number", "CPR 010203-1234"),
    ("See K1234567 for the prior.", "record number", "K1234567"),
    ("See #448120 for the prior.", "record number", "#448120"),
    ("Tel. 0511 / 123-4567 for questions.", "phone", "Tel. 0511 / 123-4567"),
    ("Reach 020 7946 0018 for questions.", "phone", "020 7946 0018"),
    ("Reach +49 (0)511 532 9000 for questions.", "phone", "+49 (0)511 532 9000"),
    ("Reach 555-0142 for questions.", "phone", "555-0142"),
    ("Mail to reader(at)example.org now.", "e-mail", "reader(at)example.org"),
    ("Mail to reader at example dot org now.", "e-mail", "reader at example dot org"),
    ("Lives at 221B Baker Street.", "address", "221B Baker Street"),
    ("Lives at 12 rue de la Paix.", "address", "12 rue de la Paix"),
    ("Lives at Lindenweg 4a now.", "address", "Lindenweg 4a"),
    ("Lives at Calle Mayor 5 now.", "address", "Calle Mayor 5"),
    ("Lives in Boston, MA 02115 now.", "address", "Boston, MA 02115"),
    ("Lives in SW1A 1AA now.", "address", "SW1A 1AA"),
    ("Reported by Dr. med. Müller.", "name", "Müller"),
    ("Shown to Mme Thévenet-Ørsted.", "name", "Thévenet-Ørsted"),
    ("Film from Hôpital Necker seen.", "hospital", "Hôpital Necker"),
    ("Patient Anna Schmidt, fracture of the radius.", "name", "Anna Schmidt"),
    ("Schmidt, Anna: no fracture.", "name", "Schmidt, Anna"),
    # In small letters, abbreviated, or without what usually stands between.
    ("Dr quillfeather aware.", "name", "quillfeather"),
    ("Findings given to dr. smith, aware.", "name", "smith"),
    ("mrs. o'malloran was told.", "name", "o'malloran"),
    ("patient: smith, john", "name", "john"),
    ("Name: quillfeather, anna; no fracture.", "name", "anna"),
    ("Reported by J Smith, consultant.", "name", "Smith"),
    ("T Quillfeather, registrar", "name", "Quillfeather"),
    ("Hr. Müller informiert.", "name", "Müller"),
    ("ID#77-33-22 unchanged.", "record number", "ID#77-33-22"),
    ("ID: AB1234 unchanged.", "record number", "ID: AB1234"),
    ("Passport C01X00T47 seen.", "record number", "Passport C01X00T47"),
    ("Passport no. L8 seen, number C01X00T47; passport no. C01X00T47.", "record number", "passport no. C01X00T47"),
]
CLEAN = [
    "No acute cardiopulmonary abnormality.",
    "Compared with [**2021-03-14**], discussed with Dr. XXXX at ___ on <DATE> by [NAME 2].",
    "Degenerative change at L4-5 and C5/6; T12 is intact, with 1/2 of its height left.",
    "The nodule measures 1.2 x 3.4 cm, before 12 x 10 mm; angulation of 15.5 degrees.",
    "Salter-Harris type II fracture, Risser 3/5, Tanner 2, Cobb angle 24 degrees.",
    "A 7-year-old girl, 110 cm tall, 3/4 of the lung is aerated.",
    "The heart may be 5 % larger. In May be careful. March fracture of the second metatarsal.",
    "Clear lungs. The patient was rotated to the left, and the doctor was informed by the team.",
    "Follow-up in the fracture clinic; seen in the Neurology Clinic.",
    "Findings were discussed with the emergency department and read by the resident.",
    "Right lower lobe. AP and lateral views. Three views of 2 ankles at 0 and 90 degrees.",
    "Normal. Signed.",
    "Window of 400-1500 HU, 10-15 cm of water, 2 out of 3, 12 of 12 ribs, pixel of 500-1000 mm.",
    "Image 3 of 12; L4-5 and T12 to L1; view 2; 3 set of films; 2 Mayo scissors; 5 mars; at 2 h.",
    "Exam: BP120/80, HR 80, RR 20. Study: T12 and L1. Case: stable.",
    "In 2019 the fracture healed; follow-up in 7-10 days, C1-2, grade II/III, stage I-II.",
    "Osgood-Schlatter disease; Perthes disease; Monteggia and Galeazzi patterns are absent.",
    "Dr aware. The dr. was informed; dr will review, dr requests a repeat film; dr. notified. Drs aware.",
    "Patient: stable, sedated. Patient: rotated, supine. Name: as above, will follow.",
    "R Smith fracture, L Perthes, boy of 7. L hip, consultant aware; T spine, registrar informed.",
    "24 Hr. Film; 24 Hr urine; HR 80. ID: 12, image id 3 of 12; passport photograph, with passport.",
    "Sharp's score 98.5 percent; oxygen saturation 92 percent; 95 % of the epiphysis.",
]


@pytest.mark.parametrize("name", ["Quillfeather^Ada", "quillfeather^ada^^", "QUILLFEATHER^ADA^M", "O'Quill^Ada"])
def test_name_as_dicom_and_hl7_write_it_is_found_in_any_case(name: str) -> None:
    text = f"{name}: no fracture."
    assert [(item.kind, text[item.start : item.end].rstrip("^")) for item in find_identifiers(text)] == [
        ("name", name.rstrip("^"))
    ]
    assert not find_identifiers("Size 3^4 cm, 10^2 per field, x^2.")


@pytest.mark.parametrize(("text", "kind", "passage"), FOUND)
def test_identifiers_are_found(text: str, kind: str, passage: str) -> None:
    found = find_identifiers(text)
    assert [(item.kind, text[item.start : item.end]) for item in found] == [(kind, passage)]


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_phrases_and_placeholders_are_none(text: str) -> None:
    assert find_identifiers(text) == ()


@given(st.text(alphabet=st.sampled_from("Dr. Aab1/2-:03[*]_X<>@\n\x00é"), max_size=200) | st.text(max_size=200))
def test_spans_are_exact_ordered_and_apart(text: str) -> None:
    end = 0
    for item in find_identifiers(text):
        assert end <= item.start < item.end <= len(text)
        end = item.end


@pytest.mark.parametrize("part", ["Aa ", "1-", "Dr. A. ", "a@", "1 Aa ", "+1 ", "[**", "Patient: Aa, "])
def test_ten_times_the_text_holds_ten_times_the_identifiers(part: str) -> None:
    # A pattern that backtracks would not come back from the long one.
    short, long = (find_identifiers(part * repeats) for repeats in (2_000, 20_000))
    assert len(long) == 10 * len(short)
    assert bool(long) == part.startswith(("Dr.", "Patient"))


@pytest.mark.parametrize(("words", "is_text"), [("DOE JANE 1234567", True), ("L", False), ("", False)])
@pytest.mark.parametrize("seed", range(3))
def test_a_line_of_text_in_the_film_is_seen_and_a_side_marker_is_not(words: str, is_text: bool, seed: int) -> None:
    film = Image.fromarray((picture(seed, size=400) * 0.6).astype(np.uint8))
    ImageDraw.Draw(film).text((8, 8), words, fill=255, font=ImageFont.load_default(18))
    assert (burned_in_text(np.asarray(film)) >= 0.5) == is_text


def test_a_stroke_within_a_frame_is_no_second_letter() -> None:
    film = np.full((60, 80), 40, np.uint8)
    film[20:40, 20:50] = 255
    film[21:39, 21:49] = 40
    frame = burned_in_text(film)
    film[22:38, 23:25] = 255  # near the left edge: it ends before the frame does, and begins after it
    assert burned_in_text(film) == frame == pytest.approx(30 / (0.9 * 20) / 8)
