import pytest

from prior.errors import InputError
from prior.files import read_json, replacing, write


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_bad_input_that_names_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="a.json: expected JSON, got .*; make it again"):
        read_json(path)


def test_json_comes_back(tmp_path):
    (tmp_path / "a.json").write_text('{"name": "\u00e9", "values": [1, null]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"name": "\u00e9", "values": [1, None]}


def test_write_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "new" / "a.json"
    write(path, "{}")
    write(path, b"[]")
    assert path.read_text() == "[]" and list(path.parent.iterdir()) == [path]


def test_what_fails_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
