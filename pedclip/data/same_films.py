"""The same film under several patients: kept in one part, so that no film is trained and tested on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from pedclip.curation.duplicates import Duplicate, as_matrix, image_hash, joined_groups, near_images, thumbnail
from pedclip.data.folder_annotations import FolderRow
from pedclip.triplets.decoding import Pixels
from pedclip.triplets.left_out import LeftOut, Reason

_FIRST: Final = ("test", "validation", "train")  # the part that keeps a film of several


class Fingerprint(NamedTuple):
    """Hash and (256,) thumbnail of a film, as in pedclip.curation.duplicates."""

    code: int
    small: Any


class Film(NamedTuple):
    """Patient and part of a film, and True where the part is given and not drawn."""

    patient: str
    split: str
    is_given: bool


def fingerprint(pixels: Pixels) -> Fingerprint:
    """Fingerprint of a film (H, W)."""
    return Fingerprint(image_hash(pixels), thumbnail(pixels))


def pairs_of_patients(patients: Sequence[str], fingerprints: Sequence[Fingerprint]) -> list[Duplicate]:
    """Pairs of films that are (nearly) the same, of groups of such films that several patients have.

    A pair of one patient in such a group is among them: it leads on to the other patients' film.

    Args:
        patients: (N,).
        fingerprints: (N,) of their films.
    """
    codes, small = [item.code for item in fingerprints], as_matrix([item.small for item in fingerprints], 256, "uint8")
    pairs = near_images(codes, small)
    groups = [group for group in clusters(pairs) if len({patients[number] for number in group}) > 1]
    is_of_several = {number for group in groups for number in group}
    return [pair for pair in pairs if pair.first in is_of_several]


def settle(films: Sequence[Film], pairs: Sequence[Duplicate]) -> tuple[list[str], dict[int, str]]:
    """Parts in which no film of a pair is in two.

    Patients whose parts are drawn share one: the most held-out part that the given ones among the films have, else
    that of the first patient. Of given films those outside the most held-out part have to go.

    Args:
        films: N films.
        pairs: Of them.

    Returns:
        The part of each film; the numbers of those to leave out, with the part that keeps the film.
    """
    drawn = {film.patient: film.split for film in films if not film.is_given}
    both = [(films[pair.first], films[pair.second]) for pair in pairs]
    links = [(one.patient, two.patient) for one, two in both if not one.is_given and not two.is_given]
    first = joined_groups(drawn, links)
    groups, held_out = clusters(pairs), dict[str, str]()
    for cluster in groups:
        given = [films[number].split for number in cluster if films[number].is_given]
        for patient in {films[number].patient for number in cluster if given and not films[number].is_given}:
            known = [*given, held_out.get(first[patient], given[0])]
            held_out[first[patient]] = min(known, key=_FIRST.index)
    splits = [
        film.split if film.is_given else held_out.get(first[film.patient], drawn[first[film.patient]]) for film in films
    ]
    left_out = {}
    for cluster in groups:
        kept = min((splits[number] for number in cluster), key=_FIRST.index)
        left_out.update({number: kept for number in cluster if splits[number] != kept})
    return splits, left_out


def clusters(pairs: Sequence[Duplicate]) -> list[list[int]]:
    """Numbers that are connected through pairs."""
    numbers = sorted({number for pair in pairs for number in (pair.first, pair.second)})
    firsts = joined_groups(map(str, numbers), [(str(pair.first), str(pair.second)) for pair in pairs])
    groups: Mapping[str, list[int]] = defaultdict(list)
    for number in numbers:
        groups[firsts[str(number)]].append(number)
    return list(groups.values())


def left_out_detail(kept: str) -> str:
    """Words on a film that another part keeps."""
    return f"the same film, or nearly so, under another patient in the {kept} part"


def in_one_part(
    rows: Sequence[FolderRow], fingerprints: Sequence[Fingerprint], *, is_given: bool, source: str
) -> tuple[list[FolderRow], list[LeftOut], list[str]]:
    """Rows of one folder of which no film is in two parts under two patients, by `settle`.

    Args:
        rows: Usable rows.
        fingerprints: Of their films, in the same order.
        is_given: True where the table gives the parts.
        source: Name of the folder, for the list of what was left out.

    Returns:
        The rows, those left out, and notes.
    """
    films = [Film(str(row.record["patient_id"]), row.split, is_given) for row in rows]
    pairs = pairs_of_patients([film.patient for film in films], fingerprints)
    if not pairs:
        return list(rows), [], []
    splits, gone = settle(films, pairs)
    kept = [replace(rows[number], split=split) for number, split in enumerate(splits) if number not in gone]
    extra = ((rows[number], left_out_detail(part)) for number, part in sorted(gone.items()))
    left_out = [LeftOut(row.file, Reason.SAME_FILM, detail, row.number, source) for row, detail in extra]
    ending = f"{len(left_out)} are left out" if is_given else "such patients share a part"
    num_pairs = sum(films[pair.first].patient != films[pair.second].patient for pair in pairs)
    return kept, left_out, [f"{num_pairs} pairs of films are the same, or nearly so, under two patients; {ending}"]
