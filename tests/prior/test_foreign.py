"""Files of others: what is wrong with one is one line, and costs neither memory nor time."""

import gc
import io
import json
import math
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from prior import foreign, limits
from prior.errors import InputError


class ReaderError(InputError):
    """A reader's own."""


def npy(array=None, header=None):
    """The bytes of an .npy: of an array, or a header alone."""
    buffer = io.BytesIO()
    if header is not None:
        np.lib.format.write_array_header_1_0(buffer, header)
    else:
        np.save(buffer, array)
    return buffer.getvalue()


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


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


def test_an_npz_comes_back(tmp_path):
    path = tmp_path / "a.npz"
    values = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array("\u00e9"),
        "c": np.zeros((0, 2), bool),
    }
    np.savez_compressed(path, **values)
    assert foreign.npz_names(path) == ("a", "b", "c")
    assert foreign.npz_headers(path)["a"] == ((2, 3), np.dtype(float), False)
    for name, array in foreign.read_npz(path, ["a", "b"], ["c", "d"], exact=True).items():
        np.testing.assert_array_equal(array, values[name])
        assert array.dtype == values[name].dtype
    assert list(foreign.read_npz(path, ["b"])) == ["b"]
    assert list(foreign.read_npz(path, optional=None)) == ["a", "b", "c"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("length", [118, 502, 1000, 9000])
def test_the_head_of_an_array_may_be_padded(tmp_path, length, compression):
    """The format lets any number of spaces follow the head."""
    array = np.arange(6.0).reshape(2, 3)
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }".ljust(length - 1) + "\n"
    member = b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + head.encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("a.npy", member + array.tobytes())
    np.testing.assert_array_equal(foreign.read_npz(tmp_path / "a.npz", ("a",))["a"], array)


def test_an_npz_with_missing_or_more_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", a=1, b=2)
    with pytest.raises(ReaderError, match="expected a, c; missing: c; there are a, b"):
        foreign.read_npz(tmp_path / "a.npz", ["a", "c"], error=ReaderError)
    with pytest.raises(ReaderError, match="expected a alone, got also b"):
        foreign.read_npz(tmp_path / "a.npz", ["a"], error=ReaderError, exact=True)


def test_an_array_alone_is_no_archive_whatever_its_name(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy(np.zeros(3)))
    assert foreign.npz_names(tmp_path / "a.npz") == ()
    for read in (foreign.read_npz, foreign.npz_headers):
        with pytest.raises(InputError, match="a.npz: expected an .npz"):
            read(tmp_path / "a.npz")


HEADER = {"descr": "<f8", "fortran_order": False, "shape": (10**9,)}


@pytest.mark.parametrize(
    "members, reason",
    [
        ([("a.npy", npy(header=HEADER))], "8000000000 bytes, got 0"),
        ([("a.npy", npy(header=HEADER | {"shape": (2**40, 2**40)}))], "damaged"),
        ([("a.npy", npy(header=HEADER | {"shape": (-1, -8)}) + bytes(64))], "expected an array"),
        (
            [("a.npy", npy(header=HEADER | {"descr": "|O", "shape": ()}) + b"cos\nsystem\n.")],
            "expected an array of numbers",
        ),
        ([("a.npy", npy(np.zeros(3, "f8,i4")))], "expected an array of numbers or text"),
        ([("a.npy", npy(np.zeros(3))[:-1])], "damaged"),
        ([("a.npy", npy(np.array("x"))[:-4] + b"\xff" * 4)], "characters that do not exist"),
        ([("a.npy", npy(np.zeros(3)).replace(b"<f8", b"<f0"))], "'<f0' not understood"),
        ([("a.npy", npy(header=HEADER | {"shape": (2**64, 0)}))], "dimension exceeded"),
        ([("a.npy", npy(header=HEADER | {"shape": (0,) * 65}))], "maximum supported dimension"),
        ([("a.npy", npy(np.zeros(3)).replace(b"(3,)", b"(3) "))], "expected an array of numbers"),
        ([("a.npy", npy(np.zeros(3)).replace(b"NUMPY\1", b"NUMPY\4"))], "version 1 to 3"),
        (
            [
                (
                    "a.npy",
                    npy(np.zeros(3)).replace(b"'fortran_order': False", b"'shape': (3,)        "),
                )
            ],
            "expected an array of numbers",
        ),
        ([("a.npy", b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16)], "expected an array of"),
        ([("a.npy", b"no array")], "expected an .npz"),
        ([("a", npy(np.zeros(3)))], "expected an array as .npy, got the file a"),
        ([("a.npy", npy(np.zeros(3))), ("a", npy(np.zeros(3)))], "two arrays of one name"),
    ],
)
def test_a_hostile_npz_is_one_line_and_no_memory(tmp_path, members, reason):
    path = zipped(tmp_path / "a.npz", members)
    tracemalloc.start()
    with pytest.raises(ReaderError, match=reason) as caught:
        foreign.read_npz(path, ["a"], error=ReaderError)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value) and peak < 5e7


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 4)
    array = npy(np.zeros(1 << 20))  # 8 MB, a thousandth of it packed
    path = zipped(tmp_path / "a.npz", [("a.npy", array)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ReaderError, match="at most 100 times the size of its archive, got"):
        foreign.read_npz(path, ["a"], error=ReaderError)
    monkeypatch.setenv(limits.ENVIRONMENT, "expansion=2000")
    assert foreign.read_npz(path, ["a"])["a"].shape == (1 << 20,)


@pytest.mark.parametrize(
    "compression",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
)
def test_a_damaged_npz_is_an_error_of_the_reader_and_nothing_else(tmp_path, compression):
    path, rng = tmp_path / "a.npz", np.random.default_rng(compression)
    arrays = {"a.npy": npy(np.arange(300.0)), "b.npy": npy(np.array(["x", "yz"]))}
    zipped(path, arrays.items(), compression)
    good = path.read_bytes()
    for trial in range(150):
        damaged = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(damaged))] if trial % 3 == 0 else damaged)
        try:
            foreign.read_npz(path, ["a", "b"], error=ReaderError)
        except ReaderError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def test_an_array_larger_than_memory_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    monkeypatch.setattr(zipfile.ZipExtFile, "readinto", full)
    with pytest.raises(ReaderError, match="a.npz: expected arrays that fit into memory"):
        foreign.read_npz(tmp_path / "a.npz", ["a"], error=ReaderError)


@pytest.mark.parametrize("kind", ["f8", ">f4", "U3", "U0", "S0", "?", "i1", "f2", "g"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1,) * 64])
def test_arrays_are_as_numpy_reads_them(tmp_path, kind, shape):
    for order in "CF":
        values = np.random.default_rng(0).integers(0, 9, shape)
        np.savez(tmp_path / "a.npz", a=np.asarray(values.astype(kind), order=order))
        own = foreign.read_npz(tmp_path / "a.npz", ["a"])["a"]
        with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
            numpys = file["a"]
        np.testing.assert_array_equal(own, numpys)
        assert own.dtype == numpys.dtype and own.shape == numpys.shape and own.flags.writeable
        assert own.flags.f_contiguous == numpys.flags.f_contiguous


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


def test_an_array_alone_comes_back_and_objects_do_not(tmp_path):
    path = tmp_path / "a.npy"
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)), np.array(["a", "é"])):
        np.save(path, array)
        np.testing.assert_array_equal(foreign.read_npy(path), array)
    whole = path.read_bytes()
    for content, why in (
        (whole[:-1], "the file is damaged"),
        (b"\x93NUMPZ" + whole[6:], "a.npy: expected a .npy, got"),
        (b"", "a.npy: expected a .npy, got"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=why):
            foreign.read_npy(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(InputError, match="expected an array of numbers or text"):
        foreign.read_npy(path)


def test_a_count_of_thousands_of_digits_is_over_the_limit():
    with pytest.raises(InputError, match="at most .* frames, got 1e.300"):
        limits.check("a.trc", "frames", 10**5000)
