"""A copy whose process is killed at any place goes on to the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pedclip.synthesis import synthetic_copy
from tests.synthesis.generators import NoiseGenerator
from tests.synthesis.killing import PLACES
from tests.synthesis.test_copying import triplets

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of copies that were killed, one per place, all in one process as imports take longest."""
    folder = tmp_path_factory.mktemp("killed")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.synthesis.killing", str(folder), *PLACES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    # Killed, and not simply finished.
    assert done.stdout.splitlines() == [f"{place} 9" for place in PLACES]
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_copy_goes_on_to_the_same_bytes(killed: Path, tmp_path: Path, place: str) -> None:
    is_complete = (killed / place / "synthetic.json").exists()
    assert is_complete == (place == "after the copy")
    # Complete or absent: nobody finds half a copy.
    assert (killed / place).exists() == is_complete
    generator = NoiseGenerator()
    copy = synthetic_copy(triplets(), generator, killed / place, batch_size=2)
    num_batches = {"within a batch": 2, "between two batches": 1}.get(place, 0)
    assert len(generator.calls) == num_batches
    whole = synthetic_copy(triplets(), NoiseGenerator(), tmp_path / "whole", batch_size=2)
    files = sorted(path.name for path in whole.folder.iterdir())
    assert sorted(path.name for path in copy.folder.iterdir()) == files
    for name in files:
        assert (copy.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    # Nothing is left beside it.
    assert not [path for path in killed.iterdir() if path.name.startswith(f".{place}.")]
