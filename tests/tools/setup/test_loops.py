"""That set-up compiles all that the lifting needs."""

import subprocess
import sys

import pytest

# In a process of its own: other tests may compile loops for other arrays.
LIFTING = """
import sys
import warnings

import numpy as np
from numba.core.dispatcher import Dispatcher

import prior
from prior.camera import LEVEL
from prior.simulation import INTRINSICS
from tools.setup import loops

def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("prior.")]
    values = [value for module in modules for value in vars(module).values()]
    own = {id(value): value for value in values if isinstance(value, Dispatcher)}
    return {loop.py_func.__qualname__: len(loop.signatures) for loop in own.values()}

loops.compile_all()
before = compiled()
assert len(before) > 20 and max(before.values()) == 1, before
model = prior.load()
lifter = prior.Lifter(model)
points = 600 + 300 * np.stack([model.mean[0] @ LEVEL[:2].T] * 4)
lens, doubt = {"intrinsics": INTRINSICS}, {"covariance": np.tile(9 * np.eye(2), (4, 17, 1, 1))}
sure = {"confidence": np.random.default_rng(0).random((4, 17))}
warnings.simplefilter("ignore")  # of poses that cannot be lifted
for how in (
    {"tilt": True},
    doubt | lens | {"robust": True},
    doubt | {"refine": True, "camera": np.stack([LEVEL] * 4)},
    lens | {"tilt": True},
    sure | lens,
    sure | {"confidence": sure["confidence"][0], "robust": True},
):
    lifter.lift(points, **how)
doubt = {"covariance": doubt["covariance"][0]}
sure = {"confidence": np.linspace(0.5, 1, 17)}
for one in (lens, doubt, doubt | lens | {"robust": True}, sure | lens):
    lifter.lift(points[:1], **one)
    lifter.lift(points, **one)
lifter.lift_track(points, 30.0, **lens)
assert compiled() == before, (before, compiled())
"""


@pytest.mark.slow
def test_after_it_nothing_is_compiled_and_each_loop_once():
    done = subprocess.run(
        [sys.executable, "-c", LIFTING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
