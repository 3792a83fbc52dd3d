"""What is told of the truth, and what error is left."""

import json

import numpy as np
import pytest

import prior
from prior.camera import turned
from prior.lifting.reference import lift_slowly
from prior.mocap import motion
from prior.simulation import room
from tools.bench import oracle


@pytest.fixture(scope="module")
def model():
    return prior.load()


@pytest.fixture(scope="module")
def images():
    return room(np.concatenate([c.poses for c in motion.load("test", kind="sit")])[::200], 3)


def test_more_is_told_and_less_is_left(model, images):
    split = oracle.split_error(model, images)
    lifted, component, both, depths = (split[told] for told in oracle.ROWS)
    # What is chosen is among what the nearest is chosen from.
    assert (component <= lifted + 0.01).all() and (both <= component + 0.01).all()
    assert depths.mean() < 0.5 * both.mean() < 0.5 * lifted.mean()


@pytest.mark.slow
def test_the_pairs_are_those_of_the_slow_twin(model, images):
    """The answer of the slow twin is one of the pairs."""
    answer = lift_slowly(images.points[1], model, images.cameras[1], np.ones(17), 80, 20.0)
    row, poses = oracle.every_pair(images.points[:3], images.cameras[:3], prior.Lifter(model))
    assert (np.bincount(row) == 3 * 80).all()
    assert np.abs(poses[row == 1] - answer.pose).max(axis=(1, 2)).min() < 0.01


def test_a_pose_of_the_model_is_spanned(model):
    """Mean and basis, turned and of any size, are told without an error."""
    random = np.random.default_rng(2)
    coefficients = random.normal(size=(20, model.basis_size)) * model.std[1] / 4
    shapes = model.mean[1] + np.einsum("nj,jla->nla", coefficients, model.basis[1])
    people = turned(shapes, random.uniform(-3, 3, 20)) * 900
    assert oracle.spanned(people, model).max() < 3
    assert oracle.spanned(people + random.normal(0, 100, people.shape), model).min() > 20


@pytest.mark.slow
def test_the_table_and_the_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(oracle, "FITTED", 120)
    out = tmp_path / "a.json"
    assert oracle.main(["--poses", "11", "--out", str(out)]) == 0
    assert "these people's other frames" in capsys.readouterr().out
    record = json.loads(out.read_text())
    assert record["poses"] == 11 and set(record["rows"][0]) == {"model", *oracle.ROWS}
    assert oracle.main(["--poses", "0", "--out", str(out)]) == 1
