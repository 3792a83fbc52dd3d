"""Whole tracks of what is no person, from the file to the marks in what is written."""

import numpy as np
import pytest

from tests import landmark_files as files
from tools.bench.plausibility import quadrupeds
from tools.lift import __main__ as tool
from tools.lift import lifted


@pytest.mark.slow
def test_an_animal_is_no_person_in_any_frame_of_its_track(tmp_path, capsys):
    # From the front it has a person's outline, and single frames pass.
    animal = quadrupeds(8, seed=3, frames=40)
    points = 0.2 * animal[..., :2] * [1, -1] + [500, 500]
    person = files.image_points(files.walk(40))
    marked = []
    for one in points:
        both = np.stack([one, person + [400, 0]], axis=1).reshape(-1, 17, 2)
        path = files.arrays(tmp_path / "a.npz", both, count=2, person=np.tile([0, 1], 40))
        out = tmp_path / "out.npz"
        status = tool.main([str(path), "--out", str(out), "--elevation", "0", "--no-deviation"])
        poses = lifted.read(out)
        assert poses.plausible[poses.person == 1].all()
        marked.append((~poses.plausible[poses.person == 0]).mean())
        printed = capsys.readouterr().err
        assert (status == 3) == ("are no plausible person" in printed) == (marked[-1] > 0)
        whole = any("most of this track" in reason for reason in poses.reason)
        assert not whole or marked[-1] == 1
    assert np.mean(np.array(marked) == 1) >= 0.6
