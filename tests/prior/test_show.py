import dataclasses
import subprocess
import sys

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure

import prior
from prior import show
from prior.skeleton import HUMAN36M, LANDMARKS, LIMBS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "absent"),
    [
        ("import prior.__main__", "matplotlib"),
        ("from prior import show, load; show.figure(load())", "matplotlib.pyplot"),
    ],
)
def test_importing_loads_no_matplotlib_and_drawing_sets_no_backend(lines, absent):
    code = f"import sys; {lines}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_flattened_from_the_front_and_from_the_side():
    pose = np.array([[1.0, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(show.flattened(pose, 0), pose[:, :2])
    np.testing.assert_allclose(show.flattened(pose, -90), pose[:, [2, 1]], atol=1e-12)


def test_limbs_have_the_colour_of_their_side():
    left, right = (matplotlib.colors.to_rgb(colour) for colour in (show.LEFT, show.RIGHT))
    assert left[0] > left[2] and right[2] > right[0]  # red and blue, as landmarks_figure says
    for (_, child), colour in zip(LIMBS, show.limb_colours(HUMAN36M), strict=True):
        side = LANDMARKS[child].split()[0]
        assert colour == {"left": show.LEFT, "right": show.RIGHT}.get(side, show.MIDDLE)


def test_the_sample_belongs_to_the_components_in_the_shares_of_their_weights():
    model = prior.load()
    probability = show.component_probability(model, model.sample.astype(float))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_allclose(probability.mean(axis=0), model.weight, atol=0.05)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_model_with_few_poses_in_its_sample_is_drawn(count):
    model = prior.load()
    few = dataclasses.replace(model, sample=model.sample[:count])
    axes = Figure().subplots()
    show.draw_aligned_poses(axes, few)
    drawn = sum(len(c.get_offsets()) for c in axes.collections[: few.components])
    assert drawn == count
