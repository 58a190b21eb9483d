import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pedclip.curation.extract import extract_regions
from pedclip.curation.report.parse import parse_report
from pedclip.curation.report.transport import plain_text

PIECES = [
    *(
        "Lungs ",
        "clear.",
        "\n",
        "\r",
        "<br>",
        "</b>",
        "&lt;",
        "\\.br\\",
        "~",
        "\\T\\",
        "\x00",
        "\xa0",
        "\f",
        "Page 2 of 3\n",
    ),
    *("{\\rtf1 ", "\\par ", "}", "**", "\ufb01", "OBX|1|TX|A||", "MSH|", "_x000D_", "\\'e9"),
]


@pytest.mark.parametrize(
    ("given_text", "plain"),
    [
        (
            "A.\\.br\\B\\.sp2\\C \\T\\ D \\S\\ \\F\\ \\R\\ \\E\\ \\H\\bold\\N\\ \\X0A\\x",
            "A.\nB\nC & D ^ | ~ \\ bold \nx",
        ),
        (
            "CHEST~HISTORY: Cough.~1. Clear.~~2. Nodule of ~5 mm ~ 3 cm",
            "CHEST\nHISTORY: Cough.\n1. Clear.\n2. Nodule of ~5 mm \n 3 cm",
        ),
        (
            "MSH|^~\\&|A\rPID|1||77||DOE^JANE\rOBX|1|TX|I||Clear.~Normal.|||F\rNTE|1||Late.\rOBX|2|TX|I||Intact.|||F",
            "\n\nClear.\nNormal.\nLate.\nIntact.",
        ),
        (
            "{\\rtf1\\ansi{\\fonttbl\\f0 Arial;}{\\*\\generator X;}"
            "\\f0 CHEST\\par \\b Clear\\b0 .\\line Caf\\'e9 \\{a\\}\\u8226?}",
            "CHEST\nClear.\nCafé {a}•",
        ),
        # Word writes a letter by its number and again for older readers; \uc0 says that nothing follows.
        ("{\\rtf1 child\\u8217\\'92s film \\u322\\'3f}", "child’s film ł"),
        ("{\\rtf1 \\uc0\\u322 \\'f3d\\uc1\\u378\\'9f film}", "łódź film"),
        (
            "<html><style>p {x}</style><p>Clear.</p><B>Heart</B> &lt; 50&#37;&nbsp;A&amp;nbsp;B<td>C</html>",
            "\n\nClear.\nHeart < 50% A B C\n",
        ),
        (
            "No <DATE> nodule <5 mm and >3 mm, [**Name**] ***** A&B <s> x|y",
            "No <DATE> nodule <5 mm and >3 mm, [**Name**] ***** A&B <s> x|y",
        ),
        ("**Findings:** a\u200bb \ufb01ne\xa0x\uff1a\x07y\u2028z\r\nw\rv\ufeff", "Findings: ab fine x: y\nz\nw\nv"),
        ("Clear.\\nNormal.\\r\\nno_x000D_\nC", "Clear.\nNormal.\nno\n\nC"),
        ("No gap in the\n\fDOE, JANE\nMRN: 7\nPage 2 of 3\nradius.\n- Page 4 -\nEnd", "No gap in the\nradius.\nEnd"),
        (
            "The page 2 images show it. Señor, β and Größe, 5 µm, 30°",
            "The page 2 images show it. Señor, β and Größe, 5 µm, 30°",
        ),
        ("Plain text.\n\tStays - as it is.", "Plain text.\n\tStays - as it is."),
    ],
)
def test_markup_leaves_and_everything_else_stays(given_text: str, plain: str) -> None:
    found = plain_text(given_text)
    assert found.text == plain
    # Each plain word leads back to itself in what was given.
    for word in re.finditer(r"[A-Za-z]{3,}", plain):
        start, end = found.origin(*word.span())
        assert given_text[start:end] == word[0] or not given_text[start:end].isascii()


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_becomes_printable_and_keeps_its_places(text: str) -> None:
    found = plain_text(text)
    assert not re.search(r"[^\n\t -~é•]", found.text)
    places = [found.origin(place, place + 1)[0] for place in range(len(found.text))]
    assert places == sorted(places)
    assert all(0 <= place < len(text) for place in places)


def test_an_excerpt_is_free_of_markup_and_traceable() -> None:
    given_text = "LEFT WRIST<br/>FINDINGS: No frac&shy;ture&nbsp;of the radius.<br/>\x0bThe ulna\x07is\r\nintact.</p>"
    report = parse_report(given_text)
    excerpt = extract_regions(report)["wrist"]
    assert excerpt.text == "No fracture of the radius. The ulna is intact."
    start, end = report.origin(excerpt.sentences[0].start, excerpt.sentences[0].end)
    assert given_text[start:end] == "No frac&shy;ture&nbsp;of the radius."
