import math

import numpy as np
import pytest

from pedclip.anatomy import REGIONS
from pedclip.data.phantom.body.posing import sample_pose
from pedclip.data.phantom.imaging.shapes import Pose

_TRUNK = {"chest", "abdomen", "pelvis", "skull", "thoracic_spine"}


def _poses(region: str, count: int = 400) -> list[Pose]:
    return [
        sample_pose(region, view="AP", age=0.3 + 17 * seed / count, laterality="left", rng=np.random.default_rng(seed))
        for seed in range(count)
    ]


@pytest.mark.parametrize("region", REGIONS)
def test_poses_stay_in_range(region: str) -> None:
    for pose in _poses(region):
        assert 0.75 <= pose.scale <= 1.35
        assert max(abs(pose.dx), abs(pose.dy)) <= 0.15
        tilt = abs(math.degrees(pose.tilt))
        assert tilt <= 6 if region in _TRUNK else min(tilt, abs(tilt - 90), abs(tilt - 180)) <= 25


def test_limbs_are_turned_now_and_then_and_patients_never_lie_quite_alike() -> None:
    poses = _poses("wrist", 2000)
    tilts = np.degrees([pose.tilt for pose in poses])
    assert 0.07 < np.mean(np.abs(tilts) > 45) < 0.22  # 0.14 expected
    assert 0.03 < np.mean((np.abs(tilts) > 12) & (np.abs(tilts) < 45)) < 0.2
    assert np.std(np.degrees([pose.turn for pose in poses])) == pytest.approx(6.0 * 0.96, abs=0.6)  # cut at 2
    assert np.std([pose.scale for pose in poses]) > 0.08


def test_right_limbs_are_mirrored_and_otherwise_equal() -> None:
    left, right = (
        sample_pose("elbow", view="AP", age=8.0, laterality=side, rng=np.random.default_rng(1))
        for side in ("left", "right")
    )
    assert (left.mirror, right.mirror) == (False, True)
    assert left.tilt == right.tilt
