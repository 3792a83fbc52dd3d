import json

import numpy as np
import pytest
from PIL import Image

from prior.mocap.clip import Clip
from tests.real_mocap import CLIPS
from tools.bench import plausibility


def test_the_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    people, others = random.normal(size=40), random.normal(1, 1, size=30)
    others[:3] = np.inf
    pairs = np.mean(others[:, None] > people)
    assert plausibility.area(people, others) == pytest.approx(pairs)


def test_quadrupeds_stand_on_four_legs():
    poses = plausibility.quadrupeds(200, seed=1)[:, 0]
    at = plausibility.LANDMARKS.index
    trunk = poses[:, at("neck")] - poses[:, at("hip")]
    assert (np.abs(trunk[:, 1]) < 0.2 * trunk[:, 2]).all()
    for name in ("left foot", "right foot", "left wrist", "right wrist"):
        assert (poses[:, at(name), 1] < 0.6 * poses[:, at("hip"), 1]).all()
    left, right = (poses[:, at(f"{side} hip"), 0] for side in ("left", "right"))
    assert (left > right).all()  # facing +z, y up


def test_an_animal_of_a_track_keeps_its_size_and_walks():
    poses = plausibility.quadrupeds(30, seed=2, frames=20)
    at = plausibility.LANDMARKS.index
    hips = poses[:, :, [at("left hip"), at("right hip"), at("neck"), at("head top")]]
    np.testing.assert_allclose(hips, hips[:, :1].repeat(20, axis=1))
    assert np.ptp(poses[:, :, at("left foot"), 2], axis=1).min() > 10
    # After a second it is where it was.
    np.testing.assert_allclose(poses[:, 10:], poses[:, :10], atol=1e-6)


def test_tracks_are_whole_stretches_of_each_clip():
    clips = [
        Clip(np.arange(n)[:, None, None] + np.zeros((1, 17, 3)), rate, "a", "b")
        for n, rate in ((200, 30.0), (31, 10.0), (29, 10.0))
    ]
    pieces = plausibility.cut(clips)
    assert pieces[..., 0, 0].tolist() == [
        list(range(0, 90, 3)),
        list(range(90, 180, 3)),
        list(range(30)),
    ]


@pytest.mark.slow
def test_the_program_shows_the_rates(tmp_path, capsys):
    out = tmp_path / "bench" / "plausibility.json"
    arguments = ["--poses", "60", "--out", str(out)]
    assert plausibility.main(arguments) == 0
    record = json.loads(out.read_text())
    rows = record["by_input"]
    assert record["held_out_poses"] == 60 and rows["people, 0 px"]["implausible"] < 0.05
    assert rows["shuffled"]["implausible"] == 1
    assert record["area_under_roc"]["people, 0 px"]["shuffled"] > 0.99
    # Mirrored people are people, who turn the other way before a camera that is nearly level.
    assert 0.4 < record["area_under_roc"]["people, 0 px"]["mirrored"] < 0.8
    tracks = record["tracks"]
    assert tracks["by_input"]["people, 0 px"] | {"misfit": 0} == {
        "inputs": 2,
        "implausible": 0,
        "misfit": 0,
    }
    assert tracks["by_input"]["shuffled"]["implausible"] == 1
    assert tracks["area_under_roc"]["people, 0 px"]["shuffled"] > 0.99
    with Image.open(out.with_suffix(".png")) as image:
        assert image.size[0] > 800
    assert "animals, from the front" in capsys.readouterr().out


def test_clips_without_a_track_are_one_line(tmp_path, capsys):
    arguments = ["--mocap", str(CLIPS / "subjects"), "--out", str(tmp_path / "a.json")]
    assert plausibility.main(arguments) == 1
    assert "expected a clip of 3 s or more" in capsys.readouterr().err
