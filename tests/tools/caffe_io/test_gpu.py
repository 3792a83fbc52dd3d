"""What is said of a GPU before Caffe, which would abort, is asked to compute on it."""

import re

import pytest

from tools.caffe_io import process

# What `caffe device_query` of a Caffe with CUDA says, and the CPU's.
FATAL = "F0101 00:00:00.000000    7 {file}] {said}"
NO_DRIVER = FATAL.format(
    file="common.cpp:152",
    said="Check failed: error == cudaSuccess (35 vs. 0)  CUDA driver version is insufficient for "
    "CUDA runtime version",
)
NO_SUCH = FATAL.format(
    file="common.cpp:158",
    said="Check failed: error == cudaSuccess (101 vs. 0)  invalid device ordinal",
)
FOR_CPU = FATAL.format(file="common.cpp:66", said="Cannot use GPU in CPU-only Caffe: check mode.")


@pytest.fixture
def caffe(tmp_path, monkeypatch):
    """A function that puts a caffe program in place which says something and ends with a status."""

    def put(said, status):
        path = tmp_path / "build/tools/caffe"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"""#!/bin/sh
[ "$*" = "device_query --gpu=3" ] || exit 9
cat >&2 <<'END'
{said}
*** Check failure stack trace: ***
END
exit {status}
""")
        path.chmod(0o755)
        monkeypatch.setenv("CAFFE_ROOT", str(tmp_path))

    return put


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NO_DRIVER, "CUDA says: CUDA driver version is insufficient for CUDA runtime version"),
        (NO_SUCH, "expected a GPU of that number, .* CUDA says: invalid device ordinal"),
        (FOR_CPU, "a Caffe for the CPU alone; make caffe GPU=yes"),
    ],
)
def test_a_gpu_that_is_of_no_use_is_one_line(caffe, said, expected):
    caffe(said, 134)
    with pytest.raises(process.CaffeError) as error:
        process.check_gpu(3)
    assert re.search(expected, str(error.value)) and "\n" not in str(error.value)
    assert str(error.value).startswith("--gpu 3: ")


def test_a_gpu_that_is_there_is_no_error(caffe):
    caffe("I0101 00:00:00.000000    7 common.cpp:180] Name: a GPU", 0)
    process.check_gpu(3)
