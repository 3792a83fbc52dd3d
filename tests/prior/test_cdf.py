"""CDF files, damaged ones too: cdflib works in a process that is limited."""

import numpy as np
import pytest
from cdflib.cdfwrite import CDF

from prior import cdf
from prior.errors import InputError

POSE = np.arange(12.0, dtype=np.float32).reshape(1, 3, 4)


@pytest.fixture
def path(tmp_path):
    """A file with the variable Pose."""
    path = tmp_path / "x.cdf"
    spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
    with CDF(path) as file:
        file.write_var(spec | {"Dim_Sizes": [3, 4]}, var_data=POSE)
    return path


def test_a_variable_comes_back(path):
    values = cdf.load(path, "Pose")
    assert values.dtype == np.float32 and np.array_equal(values, POSE)


@pytest.mark.slow
def test_a_count_of_two_billion_costs_seconds_and_no_memory(path):
    content = bytearray(path.read_bytes())
    # The CDF Internal Format Description: the CDF descriptor record begins at byte 8 and has the
    # place of the global one at 12; that has the number of dimensions at 56.
    place = int.from_bytes(content[20:28], "big")
    assert content[place + 56 : place + 60] == bytes(4)
    content[place + 56 : place + 60] = (2**31 - 1).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(
        InputError, match="expected a CDF file with the variable Pose, got"
    ) as caught:
        cdf.load(path, "Pose")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_said(tmp_path):
    with pytest.raises(InputError, match="expected a file, got a folder"):
        cdf.load(tmp_path, "Pose")
