import re

from pedclip.notebook.report_view import report_table

REPORT = "EXAM: Left hip; left knee.\nFINDINGS: Left hip: Effusion < 5 mm & clear. Left knee: The patella is intact."
RULES = {"hip": ["Effusion < 5 mm & clear."], "knee": ["The patella is intact."]}


def _rows(table: str) -> dict[str, list[str]]:
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    return {cells[1]: cells for cells in rows}


def test_each_sentence_carries_the_name_and_sign_of_its_region() -> None:
    rows = _rows(report_table(REPORT, {"rules": RULES}, caption="A < B"))
    assert "● hip" in rows["Effusion &lt; 5 mm &amp; clear."][2]
    assert "■ knee" in rows["The patella is intact."][2]
    assert rows["Left hip:"][2] == "– <i>heading</i>"
    assert "A &lt; B" in report_table(REPORT, {"rules": RULES}, caption="A < B")


def test_rows_in_which_two_columns_differ_are_marked() -> None:
    gold = {"hip": [*RULES["hip"], "The patella is intact."], "knee": ["The patella is intact."]}
    rows = _rows(report_table(REPORT, {"gold": gold, "rules": RULES}))
    assert rows["The patella is intact."][4] == "<b>differs</b>"
    assert rows["Effusion &lt; 5 mm &amp; clear."][4] == ""


def test_a_piece_of_a_sentence_counts_and_a_heading_does_not() -> None:
    rows = _rows(report_table(REPORT, {"gold": {"knee": ["patella is intact", "Old left knee lesion."]}}))
    assert "knee" in rows["The patella is intact."][2]
    assert rows["Left knee:"][2] == "– <i>heading</i>"


def test_more_regions_than_colours_still_have_their_names() -> None:
    text = "FINDINGS: " + " ".join(f"Line number {word}." for word in "abcdefghi")
    owned = {f"region {word}": [f"Line number {word}."] for word in "abcdefghi"}
    assert all(name in report_table(text, {"rules": owned}) for name in owned)
