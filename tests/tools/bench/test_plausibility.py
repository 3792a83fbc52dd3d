import json

import numpy as np
import pytest
from PIL import Image

from tests.real_mocap import CLIPS
from tools.bench import plausibility


def test_the_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    people, others = random.normal(size=40), random.normal(1, 1, size=30)
    others[:3] = np.inf
    pairs = np.mean(others[:, None] > people)
    assert plausibility.area(people, others) == pytest.approx(pairs)


def test_quadrupeds_stand_on_four_legs():
    poses = plausibility.quadrupeds(200, seed=1)
    at = plausibility.LANDMARKS.index
    trunk = poses[:, at("neck")] - poses[:, at("hip")]
    assert (np.abs(trunk[:, 1]) < 0.2 * trunk[:, 2]).all()
    for name in ("left foot", "right foot", "left wrist", "right wrist"):
        assert (poses[:, at(name), 1] < 0.45 * poses[:, at("hip"), 1]).all()
    left, right = (poses[:, at(f"{side} hip"), 0] for side in ("left", "right"))
    assert (left > right).all()  # facing +z, y up


@pytest.mark.slow
def test_the_program_shows_the_rates(tmp_path, capsys):
    out = tmp_path / "bench" / "plausibility.json"
    arguments = ["--mocap", str(CLIPS / "subjects"), "--poses", "60", "--out", str(out)]
    assert plausibility.main(arguments) == 0
    record = json.loads(out.read_text())
    rows = record["by_input"]
    assert record["held_out_poses"] <= 60 and rows["people, 0 px"]["implausible"] == 0
    assert rows["shuffled"]["implausible"] == 1
    assert record["area_under_roc"]["people, 0 px"]["shuffled"] > 0.99
    with Image.open(out.with_suffix(".png")) as image:
        assert image.size[0] > 800
    assert "animals, from the front" in capsys.readouterr().out
