"""Files of others: what is wrong with one is one line, and costs neither memory nor time."""

import gc
import json
import math
import os

import numpy as np
import pytest

from prior import foreign, limits
from prior.errors import InputError


class ReaderError(InputError):
    """A reader's own."""


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    for path, reason in (
        (tmp_path / "fifo", "a device, pipe or socket"),
        ("/dev/zero", "a device, pipe or socket"),
        (tmp_path, "a folder"),
        (tmp_path / "link", "No such file"),
        (tmp_path / "none", "No such file"),
        (f"{tmp_path}/a\0b", "null"),
    ):
        with pytest.raises(ReaderError, match=reason):
            foreign.read_bytes(path, ReaderError)


def test_a_sparse_file_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(ReaderError, match="at most 2,048 MB in one file, got 4,194,304.*PRIOR_LIM"):
        foreign.read_json(path, ReaderError)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_decoded_by_its_mark(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes('{"Gr\u00fc\u00dfe": [1, "\\u0001"]}'.encode(encoding))
    assert foreign.read_json(path) == {"Gr\u00fc\u00dfe": [1, "\u0001"]}


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(ReaderError, match="a.json: expected text as UTF-8, got the byte 0xe9 at 7"):
        foreign.read_json(path, ReaderError)
    assert foreign.read_text(path, damaged=True) == '{"a": "\ufffd"}'


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"1" * 5000, b"{}{}", b'"\x00"'])
def test_damaged_json_is_one_line(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match="a.json: expected JSON, got .*") as caught:
        foreign.read_json(path, ReaderError)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '[{"]": ' * 60, '["\\"]",' * 101]
)
def test_json_nested_too_deeply_is_refused_before_it_is_parsed(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="at most 100 levels inside each other"):
        foreign.read_json(tmp_path / "a.json")


def test_json_is_what_python_reads(tmp_path):
    path = tmp_path / "a.json"
    text = '{"a": [1, 2.5e-3, -0.1, 18446744073709551615], "b": {"c": null}, "b": "\\u00e9"}'
    path.write_text(text)
    assert foreign.read_json(path) == json.loads(text)
    path.write_text("[12345678901234567890123, 1e400]")
    large, infinite = foreign.read_json(path)
    assert float(large) == 12345678901234567890123.0 and infinite == math.inf
    path.write_text('[NaN, -Infinity, "\\ud800"]')
    first, second, third = foreign.read_json(path)
    assert math.isnan(first) and second == -math.inf and third == "\ud800"


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_after_reading_as_before(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError), foreign.no_collection():
            assert not gc.isenabled()
            _ = 1 / 0
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_depth_is_that_of_a_slow_count():
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(rng.choice(list('[]{}"\\a, \n')) for _ in range(rng.integers(60)))
        depth = deepest = at = 0
        inside = False
        while at < len(text):
            if text[at] == "\\":
                at += 1
            elif text[at] == '"' and (inside or '"' in text[at + 1 :]):
                inside = not inside
            elif not inside:
                depth += (text[at] in "[{") - (text[at] in "]}")
                deepest = max(deepest, depth)
            at += 1
        if not inside and text.count("\\") == 0:
            assert foreign.depth(text) == deepest, text


def test_limits_are_raised_by_the_environment(monkeypatch):
    limits.check("a", "frames", 1_000_000)
    with pytest.raises(
        ReaderError, match="a: expected at most 1,000,000 frames, got 1,000,001; .*"
    ):
        limits.check("a", "frames", 1_000_001, ReaderError)
    monkeypatch.setenv(limits.ENVIRONMENT, "frames=2e6, people=7")
    limits.check("a", "frames", 1_000_001)
    assert limits.of("people") == 7 and limits.of("joints") == limits.LIMITS["joints"].most
    for wrong in ("frames", "frame=3", "frames=-1", "frames=nan", "frames=x"):
        monkeypatch.setenv(limits.ENVIRONMENT, wrong)
        with pytest.raises(InputError, match="PRIOR_LIMITS: expected NAME=NUMBER"):
            limits.of("frames")


def test_a_count_of_thousands_of_digits_is_over_the_limit():
    with pytest.raises(InputError, match="at most .* frames, got 1e.300"):
        limits.check("a.trc", "frames", 10**5000)
