"""The same film under several patients of a folder: kept in one part, so that no film is trained and tested on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pedclip.curation.duplicates import as_matrix, joined_groups, near_images
from pedclip.data.folder_annotations import FolderRow
from pedclip.triplets.left_out import LeftOut, Reason
from pedclip.triplets.splits import split_of

_FIRST: Final = ("test", "validation", "train")  # the part that keeps a film of several
Fingerprint = tuple[int, "object"]  # hash and thumbnail of a film, as in pedclip.curation.duplicates


def in_one_part(
    rows: Sequence[FolderRow], fingerprints: Sequence[Fingerprint], *, is_given: bool, source: str
) -> tuple[list[FolderRow], list[LeftOut], list[str]]:
    """Rows of which no film is in two parts under two patients.

    Patients that share a film, or nearly the same one, share a part where parts are drawn. Where they are given, the
    films outside the most held-out part are left out.

    Args:
        rows: Usable rows.
        fingerprints: Of their films, in the same order.
        is_given: True where the table gives the parts.
        source: Name of the folder, for the list of what was left out.

    Returns:
        The rows, those left out, and notes.
    """
    hashes, thumbnails = [code for code, _ in fingerprints], [small for _, small in fingerprints]
    patients = [str(row.record["patient_id"]) for row in rows]
    pairs = near_images(hashes, as_matrix(thumbnails, 256, "uint8"))
    pairs = [pair for pair in pairs if patients[pair.first] != patients[pair.second]]
    if not pairs:
        return list(rows), [], []
    note = f"{len(pairs)} pairs of films are the same, or nearly so, under two patients"
    if not is_given:
        groups = joined_groups(patients, [(patients[pair.first], patients[pair.second]) for pair in pairs])
        moved = [replace(row, split=split_of(groups[patient])) for row, patient in zip(rows, patients, strict=True)]
        return moved, [], [f"{note}; such patients share a part"]
    names = [str(number) for number in range(len(rows))]
    clusters = defaultdict(list)
    for name, first in joined_groups(names, [(names[pair.first], names[pair.second]) for pair in pairs]).items():
        clusters[first].append(rows[int(name)])
    left_out = []
    for cluster in clusters.values():
        kept = min((row.split for row in cluster), key=_FIRST.index)
        detail = f"the same film, or nearly so, under another patient in the {kept} part"
        extra = [row for row in cluster if row.split != kept]
        left_out += [LeftOut(row.file, Reason.SAME_FILM, detail, row.number, source) for row in extra]
    gone = {item.row for item in left_out}
    return [row for row in rows if row.number not in gone], left_out, [f"{note}; {len(left_out)} are left out"]
