import pytest

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.language import OtherLanguage, other_language

OTHER = {
    "Spanish": ["Rx tórax: sin alteraciones.", "INDICACION: Caída. HALLAZGOS: Fractura en rodete. IMPRESION: "
    "Fractura.", "Fractura distal."],
    "French": ["Radio du poignet gauche: pas de fracture.", "Le cœur est de taille normale. Pas d'épanchement "
    "pleural."],
    "German": ["Keine Fraktur.", "Herz normal groß. Kein Erguss.", "FINDINGS: Kein Erguss. Keine "
    "Fraktur.", "Unauffälliger Befund."],
    "Italian": ["Torace: non versamento. Ombra cardiaca nei limiti.", "Non fratture. Rapporti articolari conservati."],
    "Portuguese": ["Raio-X de tórax: sem alterações. Coração de tamanho normal.", "Sem fraturas. Espaços preservados."],
    "Dutch": ["X-thorax: geen infiltraat, geen pleuravocht.", "X-pols links: torusfractuur van de distale radius."],
    "Polish": ["Zdjęcie klatki piersiowej: serce i płuca bez zmian."],
    "Turkish": ["Akciğer grafisi: kalp ve akciğerler doğal."],
    "another script": ["Рентген грудной клетки: без патологии.", "胸部X線：異常なし。肺野は清。心拡大なし",
    "الصدر طبيعي ولا كسر في "
    "العظم"],
    "an unknown language": ["Nincs kóros eltérés, csontok épek, szív tüdő megtartott, folyadék nem látható, "
    "mediastinum középen helyezkedik el."],
}  # fmt: skip
ENGLISH = [
    "Normal.", "CLEAR", "", "XXXX", "Hallux valgus. Pes planus. Os tibiale externum.", "PA and lateral. Clear.",
    "Genu valgum. Coxa vara. Cubitus varus.", "Fx L clavicle", "S/p ORIF", "AP PELVIS", "No frx.",
    "T11 wedge deformity.",
    "Chest: no infiltrate. Patient says 'me duele la pierna'.", "Dr. Müller Straße, Señor Núñez. No fracture.",
    "INDICATION: PLEURAL EFFUSIONS;", "Tibia vara. De novo fracture in situ. Ad hoc views of Chiari, pes "
    "anserinus et al.",
    "LEFT WRIST\nFINDINGS: Buckle fracture.", "Lordosis. Kyphosis. Scoliosis. Spina bifida occulta.",
]  # fmt: skip


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in OTHER.items() for text in texts])
def test_other_languages_are_told_and_refused_for_the_rules(language: str, text: str) -> None:
    assert other_language(text) == language
    with pytest.raises(OtherLanguage, match=language) as caught:
        extract_regions(text, ["chest"])
    assert text[:12] not in str(caught.value)


@pytest.mark.parametrize("text", ENGLISH)
def test_short_reports_latin_terms_and_names_are_english(text: str) -> None:
    assert other_language(text) == ""
    assert list(extract_regions(text, ["chest"])) == ["chest"]
