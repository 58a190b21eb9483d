"""Near-duplicate detection of films and texts: across patients they would leak between the splits."""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pedclip.triplets.decoding import Pixels

HAMMING: Final = 4  # of 64 bits; a film that was scaled, windowed a little or stored as JPEG differs in fewer
CORRELATION: Final = 0.995  # of the thumbnails
JACCARD: Final = 0.8  # of the word triples of two texts
_SIZE: Final = 16  # pixels of a thumbnail
_BANDS: Final = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # first bit, bits; 4 differing bits spare one band
_COMPARISONS: Final = 2**22  # of hashes at a time, 32 MB
_PAIRS: Final = 2**15  # of thumbnails at a time, 64 MB
_HASHES: Final = 64
_ROWS: Final = 4  # hash values of one band of a text; a pair with Jaccard 0.8 shares one of 16 bands with chance 0.9998
_MIN_WORDS: Final = 8  # "Normal chest." twice is no duplicate
_PRIME: Final = 2**31 - 1
# Fixed, as two parts of one archive are hashed in different processes.
_FACTORS, _SHIFTS = np.random.default_rng(20240229).integers(1, _PRIME, size=(2, _HASHES), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two items that are (nearly) the same, by their numbers, the smaller first.

    Args:
        first: Number of one.
        second: Number of the other.
        similarity: In [0, 1]; correlation of thumbnails, or estimated Jaccard index of word triples.
    """

    first: int
    second: int
    similarity: float


def image_hash(film: Pixels) -> int:
    """Difference hash of a film (H, W): 64 bits, one per pair of horizontal neighbours of a 9×8 thumbnail.

    A bit is 1 where the left neighbour is the brighter one.

    Source: difference hash (N. Krawetz, "Kind of Like That", 2013).
    """
    small = np.asarray(Image.fromarray(film).resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(small[:, :-1] > small[:, 1:]).tobytes(), "big")


def thumbnail(film: Pixels) -> NDArray[np.uint8]:
    """(256,) uint8: the film at 16×16 pixels, to confirm what `image_hash` suspects."""
    return np.asarray(Image.fromarray(film).resize((_SIZE, _SIZE), Image.Resampling.BOX)).reshape(-1)  # (256,)


def near_images(hashes: Sequence[int] | NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> list[Duplicate]:
    """Pairs of films that show the same: hashes within 4 bits, and thumbnails that correlate by 0.995.

    Films with equal hash and thumbnail are paired with the first of them only, so that the list stays short.

    Args:
        hashes: (N,) of `image_hash`.
        thumbnails: (N, 256) of `thumbnail`.
    """
    codes = np.asarray(hashes, dtype=np.uint64)
    if not len(codes):
        return []
    rows = np.column_stack([codes.view(np.uint8).reshape(-1, 8), thumbnails])
    _, kept, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    firsts = kept[inverse.reshape(-1)]
    copies = np.flatnonzero(firsts != np.arange(len(codes)))
    equal = [Duplicate(int(firsts[number]), int(number), 1.0) for number in copies]
    kept = np.sort(kept)
    units, near = _units(thumbnails[kept]), []
    for pairs in _close_pairs(codes[kept]):  # far more than there are duplicates: never all of them at once
        similarity = np.einsum("ij,ij->i", units[pairs[:, 0]], units[pairs[:, 1]])
        is_near = similarity >= CORRELATION
        for (first, second), value in zip(kept[pairs[is_near]], similarity[is_near], strict=True):
            near.append(Duplicate(int(first), int(second), round(float(value), 4)))
    return sorted([*equal, *near], key=lambda pair: (pair.first, pair.second))


def _close_pairs(codes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """(P, 2) pairs within `HAMMING` bits, the smaller first, each once, at most `_PAIRS` at a time.

    Of the five bands of bits at least one is equal, so only hashes that share a band are compared.
    """
    for number in range(len(_BANDS)):
        keys = _band(codes, number)
        order = np.argsort(keys, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            step = max(1, _COMPARISONS // len(bucket))
            for start in range(0, len(bucket) - 1, step):
                block, rest = bucket[start : start + step], bucket[start:]
                differing = codes[block, None] ^ codes[None, rest]
                left, right = np.nonzero(np.triu(np.bitwise_count(differing) <= HAMMING, k=1))
                is_new = np.ones(len(left), dtype=bool)  # not found in an earlier band
                for earlier in range(number):
                    is_new &= _band(differing[left, right], earlier) != 0
                pairs = np.column_stack([block[left], rest[right]])[is_new]
                yield from (pairs[first : first + _PAIRS] for first in range(0, len(pairs), _PAIRS))


def _band(codes: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    shift, bits = _BANDS[number]
    return (codes >> np.uint64(shift)) & np.uint64(2**bits - 1)


def _units(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) thumbnails without their mean and of length 1, so that products are correlations; 0 where constant."""
    centered = thumbnails - thumbnails.mean(axis=1, keepdims=True, dtype=np.float32)
    units: NDArray[np.float32] = centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-3)
    return units


def text_hash(text: str) -> NDArray[np.uint32] | None:
    """(64,) MinHash of the word triples of a text without case, digits and punctuation; None below 8 words.

    Source: Broder, "On the resemblance and containment of documents" (1997).
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < _MIN_WORDS:
        return None
    triples = {" ".join(words[start : start + 3]) for start in range(len(words) - 2)}
    values = np.array([zlib.crc32(triple.encode()) % _PRIME for triple in triples], dtype=np.int64)
    hashed = (values[:, None] * _FACTORS + _SHIFTS) % _PRIME  # below 2**62
    smallest: NDArray[np.uint32] = hashed.min(axis=0).astype(np.uint32)
    return smallest


def near_texts(hashes: NDArray[np.uint32]) -> list[Duplicate]:
    """Pairs of texts of which at least 0.8 of the word triples are the same.

    Each text is paired with the first of those that share a band of its hash, so that the list stays short.

    Args:
        hashes: (N, 64) of `text_hash`.
    """
    pairs: dict[tuple[int, int], float] = {}
    for start in range(0, _HASHES, _ROWS):
        _, kept, inverse = np.unique(hashes[:, start : start + _ROWS], axis=0, return_index=True, return_inverse=True)
        firsts = kept[inverse.reshape(-1)]
        copies = np.flatnonzero(firsts != np.arange(len(hashes)))
        share = (hashes[copies] == hashes[firsts[copies]]).mean(axis=1)
        is_near = share >= JACCARD
        for first, second, value in zip(firsts[copies][is_near], copies[is_near], share[is_near], strict=True):
            pairs[int(first), int(second)] = round(float(value), 4)
    return [Duplicate(*pair, value) for pair, value in sorted(pairs.items())]


def joined_groups(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every name with the smallest name that it is connected to through the pairs.

    Example:
        >>> joined_groups("abcd", [("b", "c"), ("c", "d")])
        {'a': 'a', 'b': 'b', 'c': 'b', 'd': 'b'}
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for one, two in pairs:
        low, high = sorted((root(one), root(two)))
        parent[high] = low
    return {name: root(name) for name in parent}


def as_matrix(hashes: Sequence[Any], width: int, dtype: Any) -> NDArray[Any]:
    """Rows of equal length as one array (N, C) with C = width, also where N is 0."""
    return np.array(hashes, dtype=dtype).reshape(-1, width)
