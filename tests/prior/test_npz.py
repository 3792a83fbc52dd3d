"""Arrays in .npz files: ours are whole, or the old ones, also when a signal comes in the midst;
those of others are read, or refused in one line that costs neither memory nor time."""

import io
import signal
import tracemalloc
import zipfile

import numpy as np
import pytest

from prior import limits, npz
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


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read(tmp_path, compressed):
    npz.write(tmp_path / "new/a.npz", compressed, a=np.arange(3), b="text")
    with np.load(tmp_path / "new/a.npz", allow_pickle=False) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2] and arrays["b"] == "text"


def test_no_pickles_are_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        npz.write(tmp_path / "a.npz", a=np.array([{}]))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_the_midst_of_an_array_is_that_and_nothing_else(tmp_path, monkeypatch):
    """An archive that is left in the midst of an array raises ValueError as it is closed."""
    opened = zipfile.ZipFile.open

    def interrupted(*arguments, **options):
        member = opened(*arguments, **options)
        signal.raise_signal(signal.SIGINT)
        return member

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    npz_file = tmp_path / "a.npz"
    npz_file.write_text("old")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            npz.write(npz_file, a=np.arange(3))
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.__context__ is None
    assert npz_file.read_text() == "old" and list(tmp_path.iterdir()) == [npz_file]


def test_an_npz_comes_back(tmp_path):
    path = tmp_path / "a.npz"
    values = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array("\u00e9"),
        "c": np.zeros((0, 2), bool),
    }
    np.savez_compressed(path, **values)
    assert npz.names(path) == ("a", "b", "c")
    assert npz.headers(path)["a"] == ((2, 3), np.dtype(float), False)
    for name, array in npz.read(path, ["a", "b"], ["c", "d"], exact=True).items():
        np.testing.assert_array_equal(array, values[name])
        assert array.dtype == values[name].dtype
    assert list(npz.read(path, ["b"])) == ["b"]
    assert list(npz.read(path, optional=None)) == ["a", "b", "c"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("length", [118, 502, 1000, 9000])
def test_the_head_of_an_array_may_be_padded(tmp_path, length, compression):
    """The format lets any number of spaces follow the head."""
    array = np.arange(6.0).reshape(2, 3)
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }".ljust(length - 1) + "\n"
    member = b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + head.encode()
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("a.npy", member + array.tobytes())
    np.testing.assert_array_equal(npz.read(tmp_path / "a.npz", ("a",))["a"], array)


def test_an_npz_with_missing_or_more_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", a=1, b=2)
    with pytest.raises(ReaderError, match="expected a, c; missing: c; there are a, b"):
        npz.read(tmp_path / "a.npz", ["a", "c"], error=ReaderError)
    with pytest.raises(ReaderError, match="expected a alone, got also b"):
        npz.read(tmp_path / "a.npz", ["a"], error=ReaderError, exact=True)


def test_an_array_alone_is_no_archive_whatever_its_name(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy(np.zeros(3)))
    assert npz.names(tmp_path / "a.npz") == ()
    for read in (npz.read, npz.headers):
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
        npz.read(path, ["a"], error=ReaderError)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value) and peak < 5e7


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 4)
    array = npy(np.zeros(1 << 20))  # 8 MB, a thousandth of it packed
    path = zipped(tmp_path / "a.npz", [("a.npy", array)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ReaderError, match="at most 100 times the size of its archive, got"):
        npz.read(path, ["a"], error=ReaderError)
    monkeypatch.setenv(limits.ENVIRONMENT, "expansion=2000")
    assert npz.read(path, ["a"])["a"].shape == (1 << 20,)


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
            npz.read(path, ["a", "b"], error=ReaderError)
        except ReaderError as error:
            assert str(path) in str(error) and "\n" not in str(error)


def test_an_array_larger_than_memory_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    monkeypatch.setattr(zipfile.ZipExtFile, "readinto", full)
    with pytest.raises(ReaderError, match="a.npz: expected arrays that fit into memory"):
        npz.read(tmp_path / "a.npz", ["a"], error=ReaderError)


@pytest.mark.parametrize("kind", ["f8", ">f4", "U3", "U0", "S0", "?", "i1", "f2", "g"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1,) * 64])
def test_arrays_are_as_numpy_reads_them(tmp_path, kind, shape):
    for order in "CF":
        values = np.random.default_rng(0).integers(0, 9, shape)
        np.savez(tmp_path / "a.npz", a=np.asarray(values.astype(kind), order=order))
        own = npz.read(tmp_path / "a.npz", ["a"])["a"]
        with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
            numpys = file["a"]
        np.testing.assert_array_equal(own, numpys)
        assert own.dtype == numpys.dtype and own.shape == numpys.shape and own.flags.writeable
        assert own.flags.f_contiguous == numpys.flags.f_contiguous


def test_an_array_alone_comes_back_and_objects_do_not(tmp_path):
    path = tmp_path / "a.npy"
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)), np.array(["a", "é"])):
        np.save(path, array)
        np.testing.assert_array_equal(npz.read_npy(path), array)
    whole = path.read_bytes()
    for content, why in (
        (whole[:-1], "the file is damaged"),
        (b"\x93NUMPZ" + whole[6:], "a.npy: expected a .npy, got"),
        (b"", "a.npy: expected a .npy, got"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=why):
            npz.read_npy(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(InputError, match="expected an array of numbers or text"):
        npz.read_npy(path)
