"""That the shapes in signatures are checked while tests run."""

import os
import subprocess
import sys

import jaxtyping
import numpy as np
import pytest

from python_layers import belief_maps
from tests import shapes


def test_shapes_are_checked_in_the_tests():
    with pytest.raises(jaxtyping.TypeCheckError, match="landmarks"):
        belief_maps.render_vjp(np.zeros((2, 17, 3)), np.zeros((2, 18, 5, 5)), 1.0)


def test_shapes_are_checked_in_processes_with_the_folder_in_their_path():
    lines = (
        "import numpy as np; from python_layers import belief_maps; "
        "belief_maps.render_vjp(np.zeros((2, 17, 3)), np.zeros((2, 18, 5, 5)), 1.0)"
    )
    path = os.pathsep.join([*shapes.__path__, os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", lines],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and "jaxtyping.TypeCheckError" in done.stderr
