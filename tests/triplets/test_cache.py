"""The cache holds the decoded films, notices other content, and is complete or absent."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image
from PIL import Image as Pillow

from pedclip.triplets import cache
from pedclip.triplets.cache import StaleCache, build_cache, open_cache
from pedclip.triplets.decoding import decode
from pedclip.triplets.transforms import square

SIZE = 16


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30), dtype=np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def split(*seeds: int) -> Dataset:
    images = [{"bytes": png(seed), "path": None} for seed in seeds]
    return Dataset.from_dict({"image": images, "text": [""] * len(seeds)}, Features({"image": Image(), "text": _TEXT}))


_TEXT = Dataset.from_dict({"text": [""]}).features["text"]


def test_rows_are_the_squares_of_the_films_in_order(tmp_path: Path) -> None:
    films = build_cache(split(3, 1, 2), tmp_path / "cache", size=SIZE)
    assert films.shape == (3, SIZE, SIZE)
    for row, seed in enumerate((3, 1, 2)):
        assert np.array_equal(films[row], square(decode(png(seed)), SIZE))
    assert not films.flags.writeable
    assert np.array_equal(build_cache(split(1, 2, 3, 4).select([2, 0, 1]), tmp_path / "other", size=SIZE), films)


def test_a_second_call_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_cache(split(1, 2), tmp_path, size=SIZE)
    monkeypatch.setattr("pedclip.triplets.cache._decoded", lambda *_: pytest.fail("decoded again"))
    assert build_cache(split(1, 2), tmp_path, size=SIZE).shape == (2, SIZE, SIZE)


def test_a_first_call_is_told_without_a_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="pedclip"):
        build_cache(split(1, 2), tmp_path / "cache", size=SIZE)
        build_cache(split(1, 3), tmp_path / "cache", size=SIZE)
    first, stale = caplog.messages
    assert first == "decoding 2 films"
    assert stale.startswith("decoding 2 films: ")


@pytest.mark.parametrize("seeds", [(1, 3), (2, 1), (1,), (1, 2, 3)])
def test_other_images_make_it_stale(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    build_cache(split(1, 2), tmp_path / "cache", size=SIZE)
    films = build_cache(split(*seeds), tmp_path / "cache", size=SIZE)
    assert np.array_equal(films, build_cache(split(*seeds), tmp_path / "fresh", size=SIZE))


def test_another_size_or_version_makes_it_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_cache(split(1), tmp_path / "cache", size=SIZE)
    with pytest.raises(StaleCache, match="has size 16, expected 8"):
        open_cache(tmp_path / "cache", size=8)
    monkeypatch.setattr("pedclip.triplets.cache.VERSION", 3)
    with pytest.raises(StaleCache, match="has version 2, expected 3"):
        open_cache(tmp_path / "cache", size=SIZE)


def test_damaged_files_are_rebuilt(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    whole = np.array(build_cache(split(1, 2), folder, size=SIZE))
    (folder / "films.bin").write_bytes(b"half")
    with pytest.raises(StaleCache, match="has 4 bytes, expected 512"):
        open_cache(folder, size=SIZE)
    assert np.array_equal(build_cache(split(1, 2), folder, size=SIZE), whole)
    (folder / "cache.json").write_text(json.dumps({"version": 2})[:-1])
    with pytest.raises(StaleCache, match="damaged"):
        open_cache(folder, size=SIZE)
    assert np.array_equal(build_cache(split(1, 2), folder, size=SIZE), whole)


@pytest.mark.parametrize("place", [0, 255, 256, 511])
def test_damage_that_keeps_the_size_is_noticed_by_the_next_run(tmp_path: Path, place: int) -> None:
    whole = np.array(build_cache(split(1, 2), tmp_path, size=SIZE))
    content = bytearray((tmp_path / "films.bin").read_bytes())
    content[place] ^= 1
    (tmp_path / "films.bin").write_bytes(content)
    assert np.array_equal(build_cache(split(1, 2), tmp_path, size=SIZE), whole)
    assert (tmp_path / "films.bin").read_bytes() != content


def test_cache_without_a_checksum_is_made_again(tmp_path: Path) -> None:
    whole = np.array(build_cache(split(1, 2), tmp_path, size=SIZE))
    description = json.loads((tmp_path / "cache.json").read_text())
    del description["checksum"]
    (tmp_path / "cache.json").write_text(json.dumps(description))
    (tmp_path / "films.bin").write_bytes(bytes(512))
    assert np.array_equal(build_cache(split(1, 2), tmp_path, size=SIZE), whole)


def test_a_longer_file_is_as_damaged_as_a_shorter_one(tmp_path: Path) -> None:
    build_cache(split(1, 2), tmp_path / "cache", size=SIZE)
    with (tmp_path / "cache/films.bin").open("ab") as file:
        file.write(b"0")
    with pytest.raises(StaleCache, match="has 513 bytes, expected 512"):
        open_cache(tmp_path / "cache", size=SIZE)


def test_files_cut_at_another_place_have_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for contents in ([b"ab", b"c"], [b"a", b"bc"], [b"ab", b"c"]):
        monkeypatch.setattr(cache, "stored_films", lambda _, contents=contents: iter(contents))
        prints.append(cache._fingerprint(split(1), SIZE))
    assert prints[0] == prints[2] != prints[1]


def test_no_cache_and_no_images_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no cache"):
        open_cache(tmp_path, size=SIZE)
    with pytest.raises(ValueError, match="at least one triplet"):
        build_cache(split(), tmp_path, size=SIZE)


_KILLED = """
import os, sys
from pedclip.triplets import cache
from pathlib import Path
from datasets import Dataset, Image
data = Dataset.from_dict({"image": [sys.argv[2]] * 3}).cast_column("image", Image())
whole = cache._decoded
def dies(dataset, size):
    yield next(iter(whole(dataset, size)))
    os._exit(9)
cache._decoded = dies
cache.build_cache(data, sys.argv[1], size=16)
"""


def test_killed_in_the_middle_leaves_the_old_cache_or_none(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(png(1))
    old = np.array(build_cache(split(2, 3, 4), tmp_path / "old", size=SIZE))
    for folder in ("old", "new"):
        command = [sys.executable, "-c", _KILLED, str(tmp_path / folder), str(tmp_path / "film.png")]
        assert subprocess.run(command, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == 9
    assert np.array_equal(open_cache(tmp_path / "old", size=SIZE), old)
    with pytest.raises(FileNotFoundError, match="holds no cache"):
        open_cache(tmp_path / "new", size=SIZE)
    assert build_cache(split(1), tmp_path / "new", size=SIZE).shape == (1, SIZE, SIZE)


def test_reading_needs_no_datasets(tmp_path: Path) -> None:
    build_cache(split(5), tmp_path / "cache", size=SIZE)
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('datasets', 'pandas', 'pydicom', 'pyarrow', 'altair')));"
        "import pedclip.triplets.transforms; from pedclip.triplets.cache import open_cache;"
        "print(int(open_cache(sys.argv[1], size=16).sum()))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cache")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(printed) == int(square(decode(png(5)), SIZE).sum())
