import numpy as np
import pytest

import prior
from prior import mocap
from prior.simulation import tilted
from prior.skeleton import L
from tests import landmark_files as files
from tests.real_mocap import CLIPS
from tools.bench.plausibility import quadrupeds
from tools.lift import __main__ as tool
from tools.lift import calibration, lifted, tilt

LIFTER = prior.Lifter(prior.load())
PEOPLE = np.concatenate([clip.poses for clip in mocap.read(CLIPS / "subjects")])


def searched(points):
    return tilt.common(LIFTER, calibration.NONE, points, np.ones((len(points), L)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*could not be lifted")
@pytest.mark.parametrize("degrees", [0, 20])
def test_one_odd_pose_does_not_tilt_all(degrees):
    points = tilted(PEOPLE[::6], np.deg2rad(degrees), seed=1).points[:6]
    alone = searched(points)
    assert abs(np.rad2deg(alone.elevation) - degrees) <= 5 and alone.poses == 6
    order = np.random.default_rng(2).permutation(L)
    animal = tilted(quadrupeds(1, seed=3)[0], np.deg2rad(degrees), seed=4).points
    together = searched(np.concatenate([points, animal]))
    assert abs(together.elevation - alone.elevation) <= np.deg2rad(2.6)
    # What is no person under any tilt has no say.
    assert searched(np.concatenate([points, points[:1][:, order]])) == alone


@pytest.mark.slow
def test_a_pose_that_leans_is_outvoted():
    points = tilted(PEOPLE[::6], np.deg2rad(5), seed=1).points[:6]
    leaning = tilted(PEOPLE[:1], np.deg2rad(40), seed=5).points
    together = searched(np.concatenate([points, leaning]))
    assert abs(together.elevation - searched(points).elevation) <= np.deg2rad(2.6)


@pytest.mark.slow
def test_the_tilt_is_said(tmp_path, capsys):
    source = files.arrays(tmp_path / "a.npz", files.image_points(files.walk(12, seed=3)))
    out = tmp_path / "out.npz"
    arguments = [str(a) for a in (source, "--no-deviation", "--out", out)]
    assert tool.main(arguments) == 0
    record = lifted.read(out).meta["searched_tilt"]
    assert record["poses"] == 12
    looks = f"the camera looks {abs(record['elevation_deg']):g} degrees"
    assert looks in capsys.readouterr().err
    # Where it is known nothing was searched.
    assert tool.main([*arguments, "--elevation", "10"]) == 0
    assert "the camera looks" not in capsys.readouterr().err
    assert "searched_tilt" not in lifted.read(out).meta


@pytest.mark.slow
def test_the_edge_of_the_search_is_a_warning(tmp_path, capsys):
    points = files.image_points(files.walk(12, seed=3), elevation=np.deg2rad(55))
    source = files.arrays(tmp_path / "a.npz", points)
    tool.main([str(source), "--no-deviation", "--out", str(tmp_path / "out.npz")])
    error = capsys.readouterr().err
    assert "warning: elevation 40 is at the edge of what is searched, -10 to 40 degrees" in error
    inside = tilt.Tilt(np.deg2rad(12.5), 0.0, 3)
    assert inside.at_edge() == "" and tilt.Tilt.of(inside.record()) == inside
    assert inside.described() == (
        "the camera looks 12.5 degrees down, roll 0 degrees: searched in 3 poses"
    )
    up = tilt.Tilt(np.deg2rad(-10), np.deg2rad(10), 1)
    assert up.described().startswith("the camera looks 10 degrees up, roll 10 degrees")
    assert "elevation -10" in up.at_edge() and "roll 10" in up.at_edge()
