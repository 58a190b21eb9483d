"""Labels: the headings and exam lines that only say which part was filmed ("Right knee, 2 views:")."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from pedclip.anatomy import Laterality, Mention, find_laterality, is_paired
from pedclip.curation.report.lexicon import Hit, mentions_in, scan, word_lists, words_of

_PLURALS: Final = ("s", "feet", "femora", "humeri")
_BARE: Final = frozenset(
    "the left right both bilateral lt rt visualized other and".split()
)  # around the name of a group
LONGEST: Final = 160  # characters; longer text is prose


@dataclass(frozen=True)
class Label:
    """Films that a heading names."""

    regions: tuple[str, ...]  # in order of mention; empty for "Bones:" or for a name that was removed
    laterality: tuple[Laterality, ...]  # of each region, "" where none is said
    named: tuple[bool, ...]  # True: the film itself ("knee"); False: only a part of it ("lungs")
    side: Laterality  # a side that stands alone ("Left:"), else ""
    is_other_modality: bool  # CT, MRI, ultrasound: no film
    has_gap: bool  # holds XXXX, the mark of a word that was removed
    is_group: bool = False  # names several parts by one word ("Long bones:"); only those that were filmed count


def read_label(text: str) -> Label | None:
    """The label that a text is, or None where it says anything beyond body parts, sides, views and dates.

    Example:
        >>> read_label("Two views of the right knee.").regions
        ('knee',)
        >>> read_label("Normal right knee.") is None
        True
    """
    text = text.strip()
    return _read(text) if 0 < len(text) <= LONGEST else None


def label_of(text: str, hits: Sequence[Hit], mentions: Sequence[Mention]) -> Label | None:
    """`read_label` of a text without blank edges whose terms and body parts were already found."""
    return _label(text, hits, mentions) if 0 < len(text) <= LONGEST else None


@cache
def _silent_words() -> frozenset[str]:
    return frozenset(word_lists()["label"])


@lru_cache(maxsize=16_384)  # the same headings stand in thousands of reports
def _read(text: str) -> Label | None:
    return _label(text, scan(text), mentions_in(text))


def _label(text: str, hits: Sequence[Hit], mentions: Sequence[Mention]) -> Label | None:
    if group := _group(text):
        side = find_laterality(_sides([word for word, _, _ in words_of(text)]))
        return Label(tuple(group), (side,) * len(group), (False,) * len(group), "", False, False, is_group=True)
    other = [hit for hit in hits if "cue:modality" in hit.tags]
    silent = [hit for hit in hits if "heading:words" in hit.tags]  # "Alignment:", "Regarding the left wrist:"
    spans = [(m.start, m.end) for m in mentions] + [(hit.start, hit.end) for hit in [*other, *silent]]
    found: dict[str, tuple[Laterality, bool]] = {}
    for hit in hits:
        for field, region in (tag.split(":") for tag in sorted(hit.tags)):
            if field in ("name", "label", "structure"):
                spans.append((hit.start, hit.end))
                named = field != "structure"
                found[region] = ("", named or found.get(region, ("", False))[1])
    if any(_is_finding(hit) and not _is_in_name(hit, mentions) for hit in hits):
        return None  # "Femoral fracture.", all of it one known structure
    # Whatever no list accounts for must be silent, else the text says more than what was filmed.
    words = [word for word, start, end in words_of(text) if not any(a <= start and end <= b for a, b in spans)]
    if not all(word in _silent_words() or word[0].isdigit() for word in words) or not any(map(str.isalpha, text)):
        return None
    for mention in mentions:
        # A region may be named twice ("left knee and right knee"): two sides make both.
        side, named = found.get(mention.region, ("", False))
        said = side_of(mention, text)
        side = said if side in ("", said) else "both" if said else side
        is_part = "upper" in words and mention.region == "abdomen"  # "Upper abdomen:", seen on a chest film
        found[mention.region] = (side, named or (mention.kind == "name" and not is_part))
    is_graded = found and not any(named for _, named in found.values()) and any(word[0].isdigit() for word in words)
    if is_graded and not any("cue:film" in hit.tags for hit in hits):
        return None  # "Risser 1", not a heading
    if not found and not spans and set(words) <= {"xxxx", "and", "the", "of", "a", "an", "other", "in", "to", "or"}:
        return None
    return Label(
        regions=tuple(found),
        laterality=tuple(side for side, _ in found.values()),
        named=tuple(named for _, named in found.values()),
        side="" if found else find_laterality(_sides(words)),
        is_other_modality=bool(other) and not any("cue:film" in hit.tags for hit in hits),
        has_gap="xxxx" in words,
    )


def _group(text: str) -> Sequence[str]:
    """Regions that a heading names by one word for all of them, () for none."""
    regions: Sequence[str] = word_lists()["groups"].get(
        " ".join(word for word, _, _ in words_of(text) if word not in _BARE), ()
    )
    return regions


def side_of(mention: Mention, text: str) -> Laterality:
    """The side said of a film: "both" for a plural ("hips, AP and lateral") as for the word.

    Example:
        >>> side_of(mentions_in("Both knees")[0], "Both knees"), side_of(mentions_in("AP hips")[0], "AP hips")
        ('both', 'both')
    """
    word = text[mention.start : mention.end].lower()
    is_plural = mention.kind == "name" and is_paired(mention.region) and word.endswith(_PLURALS)
    return mention.laterality or ("both" if is_plural else "")


def _is_finding(hit: Hit) -> bool:
    return "heading:words" not in hit.tags and not hit.tags.isdisjoint(("finding:pathology", "finding:assessment"))


def _is_in_name(hit: Hit, mentions: Sequence[Mention]) -> bool:
    """True where a term is part of the name of a film ("scoliosis series")."""
    return any(m.kind == "name" and m.start <= hit.start and hit.end <= m.end for m in mentions)


def _sides(words: list[str]) -> str:
    """Only the words for sides, so that a view is not taken for one."""
    return " and ".join(word for word in words if word in ("left", "right", "both", "bilateral", "lt", "rt"))
