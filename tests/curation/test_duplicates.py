"""Copies are found, whatever was done to the file; strangers are not; the fast search finds what the slow one does."""

import io
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pedclip.curation import duplicates
from pedclip.curation.duplicates import (
    HAMMING,
    _close_pairs,
    image_hash,
    joined_groups,
    near_images,
    near_texts,
    text_hash,
    thumbnail,
)
from tests.curation.archive.archive_files import picture

TEXT = "The lungs are clear and the heart is of normal size, the bones of the chest are intact and well mineralized."


def test_scaled_and_compressed_copies_are_found_and_nothing_else() -> None:
    films = [picture(seed, size=200) for seed in range(30)]
    for film in films[:10]:
        content = io.BytesIO()
        Image.fromarray(film).resize((150, 150)).save(content, "JPEG", quality=75)
        films.append(np.asarray(Image.open(content)))
    films += [films[0], films[0]]
    found = near_images([image_hash(film) for film in films], np.stack([thumbnail(film) for film in films]))
    copies = {(number, 30 + number) for number in range(10)} | {(0, 40), (0, 41)}
    assert {(pair.first, pair.second) for pair in found} == copies
    assert min(pair.similarity for pair in found) >= 0.995


def test_an_equal_hash_alone_is_no_duplicate() -> None:
    one, other = (thumbnail(picture(seed, size=200)) for seed in (1, 2))
    assert near_images([5, 5], np.stack([one, other])) == []
    assert len(near_images([5, 7], np.stack([one, one]))) == 1


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=6),
    st.lists(st.integers(0, 63), max_size=6),
    st.sampled_from([1, 7, 2**22]),
)
def test_bands_find_exactly_the_pairs_within_the_distance(codes: list[int], bits: list[int], at_once: int) -> None:
    flipped = codes[0]
    for bit in bits:
        flipped ^= 1 << bit
    every = np.array([*codes, flipped, *codes], dtype=np.uint64)
    slow = {
        (i, j) for j in range(len(every)) for i in range(j) if (int(every[i]) ^ int(every[j])).bit_count() <= HAMMING
    }
    with patch.multiple(duplicates, _COMPARISONS=at_once, _PAIRS=at_once):
        found = [(int(i), int(j)) for pairs in _close_pairs(every) for i, j in pairs]
    assert sorted(found) == sorted(slow)  # each once


def test_texts_that_differ_in_numbers_or_one_word_are_near() -> None:
    texts = [TEXT, TEXT.upper() + " 12", TEXT + " Normal.", TEXT.replace("chest", "ribs") * 3, "Fracture " + TEXT[::-1]]
    hashes = [text_hash(text) for text in texts]
    found = near_texts(np.stack([code for code in hashes if code is not None]))
    assert {(0, 1), (0, 2)} <= {(pair.first, pair.second) for pair in found}
    assert all(pair.second < 3 for pair in found)
    assert text_hash("Normal chest, no change at all here.") is None


def test_empty_sets_have_no_pairs() -> None:
    assert near_images([], np.zeros((0, 256), dtype=np.uint8)) == []
    assert near_texts(np.zeros((0, 64), dtype=np.uint32)) == []


@pytest.mark.parametrize("pairs", [[("a", "b"), ("c", "b")], [("c", "a"), ("b", "c")]])
def test_groups_do_not_depend_on_the_order_of_pairs(pairs: list[tuple[str, str]]) -> None:
    assert joined_groups("abcd", pairs) == {"a": "a", "b": "a", "c": "a", "d": "d"}
