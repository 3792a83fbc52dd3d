"""Archives that are cut short, of another subject, would write far more than they are, or hold it
in memory, are refused."""

import io
import resource
import tarfile
import tracemalloc

import numpy as np
import pytest

from prior import limits
from prior.errors import InputError
from tools.convert.h36m_files import Source, check_ends

NAME = "S1/MyPoseFeatures/D3_Positions/Walking 1.cdf"


def archive(folder, *members, mode="w"):
    """An archive of (TarInfo or name, content)."""
    path = folder / f"Poses_D3_Positions_S1{'.tgz' if mode == 'w:gz' else '.tar'}"
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as file:
        for info, content in members:
            info = info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(info)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def extract(folder):
    Source(folder, folder / "raw").extract("S1", "D3_Positions")
    return sorted(path.name for path in (folder / "raw").rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_good_archive_is_extracted(tmp_path, mode):
    archive(tmp_path, (NAME, b"x" * 3000), ("other/a.txt", b"y"), mode=mode)
    assert extract(tmp_path) == ["Walking 1.cdf"]


def test_a_bomb_is_not_extracted(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_MB", 1)
    archive(tmp_path, (NAME, bytes(8 << 20)), mode="w:gz")
    with pytest.raises(InputError, match="S1.tgz: expected at most 100 times the size"):
        extract(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_sparse_member_is_not_extracted(tmp_path):
    path = archive(tmp_path, (NAME, b"x" * 512))
    content = bytearray(path.read_bytes())
    # As GNU tar marks one: its type, and one piece of 512 bytes in a file of 600 MB.
    content[156:157] = b"S"
    content[386:410] = b"%011o\0" % 0 + b"%011o\0" % 512
    content[483:495] = b"%011o\0" % (600 << 20)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a whole file in the archive|at most 100 times"):
        extract(tmp_path)
    assert not list(tmp_path.rglob("*.cdf"))


def test_a_head_of_many_megabytes_is_not_read(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    archive(tmp_path, (info, b"a" * (64 << 20)), (NAME, b"x"), mode="w:gz")
    tracemalloc.start()
    with pytest.raises(InputError, match="a head of 67,108,864 bytes"):
        extract(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 3e7
    tracemalloc.stop()


def test_a_cut_archive_is_one_line(tmp_path):
    path = archive(tmp_path, (NAME, bytes(range(256)) * 100), mode="w:gz")
    whole = path.read_bytes()
    for cut in (0, 10, 100, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:cut])
        try:
            extract(tmp_path)
        except InputError as error:
            assert "S1.tgz: " in str(error) and "\n" not in str(error)
            assert not list(tmp_path.rglob(".part*"))


def test_a_gzip_head_with_an_extra_field_is_one_line(tmp_path):
    path = archive(tmp_path, (NAME, b"x" * 3000), mode="w:gz")
    content = bytearray(path.read_bytes())
    content[3] |= 4  # as the flag says, a length and bytes follow
    path.write_bytes(content)
    with pytest.raises(InputError, match="S1.tgz: expected an archive"):
        extract(tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_cut_archives_are_refused_before_any_is_extracted(tmp_path, mode):
    (tmp_path / "metadata.xml").write_text("<metadata/>")
    noise = np.random.default_rng(0).integers(0, 256, 30_000, dtype=np.uint8).tobytes()
    path = archive(tmp_path, (NAME, noise), (NAME.replace("Walking", "Eating"), noise), mode=mode)

    def check():
        check_ends(Source(tmp_path, tmp_path / "raw"), ("S1", "S5"), ["D3_Positions"])

    check()
    whole = path.read_bytes()
    for cut in (0, 10, 100, len(whole) // 2, len(whole) - 20_000):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=f"^{path}: expected an archive, got .*; copy it$"):
            check()
    # Of what is extracted already no archive is needed.
    (tmp_path / "raw" / NAME).parent.mkdir(parents=True)
    (tmp_path / "raw" / NAME).write_bytes(noise)
    check()


def test_what_other_programs_packed_is_left_to_the_extraction(tmp_path):
    """Its end could only be seen by unpacking all of it."""
    (tmp_path / "metadata.xml").write_text("<metadata/>")
    path = archive(tmp_path, (NAME, b"x" * 3000), mode="w:bz2")
    check_ends(Source(tmp_path, tmp_path / "raw"), ["S1"], ["D3_Positions"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="S1.tar: expected an archive"):
        extract(tmp_path)


def test_another_subjects_files_are_refused(tmp_path):
    archive(tmp_path, (NAME.replace("S1", "S11"), b"x" * 3000), mode="w:gz")
    with pytest.raises(InputError, match="S1.tgz: expected files of S1, got S11/MyPoseFeatures"):
        extract(tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_full_disk_is_not_taken_for_damage(tmp_path):
    archive(tmp_path, (NAME, b"x" * 30_000), mode="w:gz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match=f"File too large: '{tmp_path}/raw'"):
            extract(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
