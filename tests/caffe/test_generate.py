"""The generator of the networks: what it writes, and what it leaves where it cannot."""

import resource

from prototxt import generate
from tests.caffe.test_networks import FILES, HERE


def test_every_file_is_what_the_generator_writes():
    written = generate.files()
    assert set(written) == {str(path.relative_to(HERE)) for path in FILES}
    for path, content in written.items():
        same = (HERE / path).read_bytes() == content.encode()
        assert same, f"{path}: run python -m prototxt.generate"
        assert content.startswith("# Written by")


def test_the_check_finds_a_stale_file(tmp_path, capsys):
    assert generate.main(["--out", str(tmp_path)]) == 0
    assert generate.main(["--out", str(tmp_path), "--check"]) == 0
    stale = tmp_path / "cpm/solver.prototxt"
    stale.write_text(stale.read_text() + "\n")
    assert generate.main(["--out", str(tmp_path), "--check"]) == 1
    assert f"{stale}: is stale" in capsys.readouterr().out
    stale.write_bytes(b"no text \xff")
    assert generate.main(["--out", str(tmp_path)]) == 0
    assert generate.main(["--out", str(tmp_path), "--check"]) == 0


def test_files_that_cannot_be_written_whole_stay_as_they_were(tmp_path, capsys):
    old = tmp_path / "cpm/deploy.prototxt"
    old.parent.mkdir()
    old.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))  # as where the disk is full
    try:
        assert generate.main(["--out", str(tmp_path)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in capsys.readouterr().err
    written = generate.files()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert path.read_text() in ("old", written[str(path.relative_to(tmp_path))])
