"""Caffe's files with another wire type in any place: read, or one line that names the file."""

import pytest

from tests.fuzz.targets import TARGETS
from tools.caffe_io.files import CaffeFileError, read_state, read_weights

READERS = {"caffemodel": read_weights, "solverstate": read_state}


@pytest.mark.parametrize("suffix", READERS)
def test_other_wire_types_are_one_line(tmp_path, suffix):
    path = next(target for target in TARGETS if target.name == suffix).make(tmp_path)
    good, refused = path.read_bytes(), 0
    for at in range(len(good)):  # at some of them a field begins
        for kind in (0, 1, 2, 5):
            changed = bytearray(good)
            changed[at] = changed[at] & ~7 | kind
            path.write_bytes(changed)
            try:
                READERS[suffix](path)
            except CaffeFileError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
    assert refused > len(good) // 2
