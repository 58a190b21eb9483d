"""A report as a table of its sentences, each marked with the region that it was given to."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pedclip.anatomy import REGIONS, display_name
from pedclip.curation.report.parse import Report, parse_report
from pedclip.evaluation.extraction import normalized
from pedclip.plots.theme import COLORS

# The second cue beside the colour, in the order of COLORS.
_SIGNS: Final = ("●", "■", "▲", "◆", "✚", "▼", "▶")
_NONE: Final = "–"

Assignment = Mapping[str, Sequence[str]]


def report_table(report: Report, assignments: Mapping[str, Assignment], *, caption: str = "") -> str:
    """An HTML table of the sentences of a report and their regions.

    Every region has a colour, a sign and its name, so that nothing depends on colour; regions beyond the seventh repeat
    them. Where two assignments differ, the row is marked.

    Args:
        report: The whole report.
        assignments: By the name of a column ("rules", "gold"), sentences by region.
        caption: Content of the table; also names it for screen readers.
    """
    # In the order in which the assignments name them: a region keeps its colour in all columns.
    regions = list(dict.fromkeys(region for assignment in assignments.values() for region in assignment))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("section", "sentence", *assignments))
    head += "<th></th>" if len(assignments) > 1 else ""  # of the column that marks differences
    rows = []
    for line in parse_report(report).lines:
        # A heading belongs to a region only where an assignment has it word for word.
        is_label = line.sentence_type == "heading"
        owners = [_owners(line.sentence.text, one, regions, is_label=is_label) for one in assignments.values()]
        cells = [html.escape(line.section.name), html.escape(line.sentence.text)]
        cells += [_labels(names, regions, kind=line.sentence_type) for names in owners]
        if len(owners) > 1:
            cells.append("" if len(set(map(tuple, owners))) == 1 else "<b>differs</b>")  # all columns agree
        rows.append("<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>")
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _owners(sentence: str, assignment: Assignment, regions: Iterable[str], *, is_label: bool) -> list[str]:
    """Regions that were given this sentence, else one that it holds or that holds it: splitters cut differently."""
    # Blanks at both ends, so that "hip" is not found in "chip".
    own = f" {normalized(sentence)} "
    forms = {region: [f" {normalized(text)} " for text in assignment.get(region, ())] for region in regions}
    # Equality first: a short sentence may lie inside a longer one of another region.
    equal = [region for region, texts in forms.items() if own in texts]
    if equal or is_label:
        return equal
    return [region for region, texts in forms.items() if any(text in own or own in text for text in texts)]


def _labels(names: Sequence[str], regions: Sequence[str], *, kind: str) -> str:
    if not names:
        return _NONE if kind == "finding" else f"{_NONE} <i>{html.escape(kind)}</i>"
    return " ".join(_label(name, regions.index(name)) for name in names)


def _label(region: str, place: int) -> str:
    color, sign = COLORS[place % len(COLORS)], _SIGNS[place % len(_SIGNS)]
    # A gold standard may name what is none of the 23.
    name = display_name(region) if region in REGIONS else region
    return f'<span style="border-bottom:3px solid {color};white-space:nowrap">{sign} {html.escape(name)}</span>'
