"""Which photographs the right half of figure 4 shows, and what is drawn of them."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prior.camera import LEVEL
from prior.skeleton import HUMAN36M, LANDMARKS
from tests.poses import random_poses
from tools.report import photographs

COUNT = 40
SHOULDER, HIP = LANDMARKS.index("left shoulder"), LANDMARKS.index("right hip")


@pytest.fixture
def run():
    """40 people whose landmarks are all off by 1, 2, ... px, in mixed order; torsos of 50 px."""
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 80, (COUNT, 17, 2))
    points[:, SHOULDER] = points[:, HIP] + [30, -40]
    off = rng.permutation(np.arange(1.0, COUNT + 1))
    visible = np.full((COUNT, 17), 2)
    people = SimpleNamespace(
        skeleton=HUMAN36M,
        image=lambda i: np.full((100, 100, 3), 200, np.uint8),
        boxes=np.tile([20.0, 20, 60, 60], (COUNT, 1)),
        points=points,
        visible=visible,
        poses_mm=np.full((COUNT, 17, 3), np.nan),
        rotations=np.tile(LEVEL, (COUNT, 1, 1)),
    )
    yield photographs.EvaluatedPhotographs(
        people, points + off[:, None, None] * [1.0, 0], random_poses(COUNT)
    )
    plt.close("all")


def test_the_middle_of_each_tenth_is_chosen(run):
    errors = [error for _, error in photographs.chosen(run)]
    # Tenths of 40 are 4 people; the middle is the third: 3, 7, ... px of a torso of 50 px.
    np.testing.assert_allclose(errors, np.arange(3, 40, 4) / 50)


def test_a_landmark_that_is_not_annotated_does_not_count(run):
    before = photographs.mean_error(run)
    run.people.points[:, 5] = np.nan
    run.people.visible[:, 5] = 0
    run.points[:, 5] = 1e4
    np.testing.assert_allclose(photographs.mean_error(run), before)


def test_without_a_torso_a_person_is_not_ranked(run):
    lost = [i for i, _ in photographs.chosen(run)]
    run.people.points[lost, HIP] = np.nan
    run.people.visible[lost, HIP] = 0
    assert not {i for i, _ in photographs.chosen(run)} & set(lost)
    assert f"Of the {COUNT - 10} people" in photographs.caption(run, "a.pack")


@pytest.mark.parametrize("people", [0, 1, 6])
def test_fewer_people_than_places(run, people):
    run.people.points[people:, HIP] = np.nan
    assert len(photographs.chosen(run)) == people
    photographs.figure(run)


def test_landmarks_and_errors_are_where_they_belong(run):
    (first, error), *_ = photographs.chosen(run)
    drawn = photographs.figure(run)
    assert drawn.axes[0].get_title() == f"2D error {error:.2f} torsos"
    start = drawn.axes[0].lines[0].get_xydata()[0]
    assert start == pytest.approx(run.points[first, 0])
    assert [len(axes.lines) > 0 for axes in drawn.axes] == [True] * 20
