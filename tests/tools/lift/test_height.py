import json

import numpy as np
import pytest

from prior.errors import InputError
from tests import landmark_files as files
from tests.poses import OFFSETS, random_poses
from tools.lift import __main__ as tool
from tools.lift import height, lifted


def run(*arguments):
    return tool.main([str(a) for a in arguments])


def test_the_height_is_that_of_the_bones():
    # The skeleton of random_poses: leg 440 and 430, trunk 240 and 250, head 230, mm.
    upright = np.hypot(440, 10) + np.hypot(430, 10) + 240 + 250 + np.hypot(230, 10)
    poses = random_poses(200, seed=1)
    # Heads nod in these poses; their height is a median.
    assert height.stature(poses) == pytest.approx(upright / 0.961, rel=0.02)
    standing = np.zeros((1, 17, 3))
    for i, parent in enumerate([-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]):
        standing[0, i] = OFFSETS[i] + (standing[0, parent] if parent >= 0 else 0)
    assert height.stature(standing) == pytest.approx(upright / 0.961, abs=1e-6)


def test_each_person_gets_their_own(tmp_path, capsys):
    points = np.concatenate([files.image_points(files.walk(8, seed=s)) for s in (1, 2, 3)])
    source = files.arrays(
        tmp_path / "a.npz", points, frame=[*range(8)] * 3, person=np.repeat([0, 4, 6], 8)
    )
    typical, out = tmp_path / "typical.npz", tmp_path / "out.npz"
    assert run(source, "--elevation", 10, "--out", typical) == 0
    arguments = ("--height", "1.75", "4=1.2", "--out")
    assert run(source, "--elevation", 10, *arguments, out) == 0
    before, after = lifted.read(typical), lifted.read(out)
    assert after.meta["height_m"] == {"0": 1.75, "4": 1.2, "6": 1.75}
    for person, metres in ((0, 1.75), (4, 1.2), (6, 1.75)):
        rows = before.person == person
        factor = 1000 * metres / height.stature(before.pose_mm[rows])
        np.testing.assert_allclose(after.pose_mm[rows], factor * before.pose_mm[rows], atol=0.01)
        np.testing.assert_allclose(
            after.deviation_mm[rows], factor * before.deviation_mm[rows], atol=0.02
        )
        # The image stays: px per mm times mm.
        np.testing.assert_allclose(after.scale[rows], before.scale[rows] / factor, rtol=1e-4)
        assert height.stature(after.pose_mm[rows]) == pytest.approx(1000 * metres, abs=0.1)
    # From poses it is the same; a second time it is refused.
    again = tmp_path / "again.json"
    assert run(typical, *arguments, again) == 0
    back = np.array([pose["pose_mm"] for pose in json.loads(again.read_text())["poses"]])
    np.testing.assert_allclose(back, after.pose_mm, atol=0.02)
    capsys.readouterr()
    assert run(again, *arguments, tmp_path / "b.npz") == 1
    assert "have heights already" in capsys.readouterr().err
    assert run(typical, "--height", "9=1.7", "--out", tmp_path / "b.npz") == 1
    assert "expected people of 0, 4, 6, got 9" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["175"], ["0=x"], ["a=1.7"], ["nan"], ["1.7", "1.8"], ["-1"]])
def test_what_is_no_height_is_refused(words):
    with pytest.raises(InputError, match="--height: expected"):
        height.parse(words)
