"""The door: what it takes, what it returns, and what it says."""

import hashlib
from pathlib import Path

import pytest

from pedclip.models.released import load_released
from pedclip.models.released.release import find_release, release_names
from tests.models.released.tiny_folders import rad_dino
from tests.models.released.tiny_releases import MAKERS
from tests.models.released.tiny_towers import biomedclip


def test_every_record_has_a_golden_checkpoint() -> None:
    assert set(MAKERS) == set(release_names())


def test_model_is_ready_and_its_weights_have_a_hash(tmp_path: Path) -> None:
    tiny = biomedclip(tmp_path)
    model = load_released("biomedclip", tiny.path)
    assert not model.training
    assert model.release == find_release("biomedclip")
    assert model.sha256 == hashlib.sha256(tiny.path.read_bytes()).hexdigest()
    # The folder stands for its file.
    assert load_released("biomedclip", tmp_path).sha256 == model.sha256


def test_wrong_name_and_useless_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'biomedclip'"):
        load_released("biomedclp")
    with pytest.raises(ValueError, match="has no use: rad-dino is read by its library"):
        load_released("rad-dino", rad_dino(tmp_path).path, keys={"image": "x."})
    with pytest.raises(ValueError, match="unknown part 'images'"):
        load_released("biomedclip", biomedclip(tmp_path).path, keys={"images": "x."})
