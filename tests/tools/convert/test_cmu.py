"""Making the file of carried motion from a folder of CMU's files."""

import zipfile

import numpy as np
import pytest

from prior.camera import turned
from prior.errors import InputError
from prior.mocap import motion
from prior.mocap.clip import Clip
from prior.mocap.clip_npz import write
from tests.poses import random_poses
from tools.convert import cmu

RATE = 60.0


def _moving(count=120):
    """A person who turns slowly, 60 Hz."""
    pose = random_poses(1, seed=3)
    return turned(np.repeat(pose, count, axis=0), np.linspace(0, 0.01 * count, count))


def _clip(poses):
    return Clip(poses, RATE, "13", "13_01")


def test_good_frames_stay():
    clip, dropped = cmu.cleaned(_clip(_moving()))
    assert dropped == 0 and clip.rate == 30
    assert np.array_equal(clip.poses, _moving()[::2])


def test_a_limb_that_flips_and_back_is_left_out():
    poses = _moving(300)
    poses[100:110, 6] += [0, 0, 600]
    bad = cmu.impossible(_clip(poses))
    assert bad[100:110].all()
    # And a tenth of a second on both sides.
    assert np.array_equal(np.flatnonzero(bad), np.arange(94, 116))


def test_the_frames_before_a_jump_at_the_start_are_left_out():
    poses = _moving(300)
    poses[:4, [13, 16]] += [0, 900, 0]
    assert np.array_equal(np.flatnonzero(cmu.impossible(_clip(poses))), np.arange(4))


def test_a_first_frame_unlike_the_others_is_left_out_even_if_it_is_slow():
    poses = _moving(300)
    poses[0, 13] += [0, 150, 0]  # 9 m/s
    assert np.array_equal(np.flatnonzero(cmu.impossible(_clip(poses))), [0])


def test_a_folder_with_a_zip_file_in_it(tmp_path, monkeypatch):
    table = tmp_path / "clips.tsv"
    table.write_text("clip\tkind\taction\n13_01\tsit\tsit down\ndance_04\tdance\tIndian dance\n")
    monkeypatch.setattr(cmu, "TABLE", table)
    folder = tmp_path / "cmu"
    write(folder / "13_01.npz", _clip(_moving()))
    write(folder / "unknown.npz", Clip(_moving(), RATE, "x", "y"))
    write(tmp_path / "04.npz", Clip(_moving(60), RATE, "dance", "04"))
    with zipfile.ZipFile(folder / "dance.zip", "w") as archive:
        archive.write(tmp_path / "04.npz", "dance/04.npz")
    assert cmu.main([str(folder), "--out", str(tmp_path / "out")]) == 0
    clips = motion.read(tmp_path / "out" / "cmu.npz")
    assert [clip[2:6] for clip in clips] == [
        ("13", "sit down", "13_01", "sit"),
        ("dance", "Indian dance", "dance_04", "dance"),
    ]
    card = (tmp_path / "out" / "CLIPS.md").read_text()
    assert "2 clips of 2 subjects, 90 frames" in card and "and 1 clips of the folder" in card


def test_a_folder_that_lacks_clips(tmp_path, monkeypatch):
    table = tmp_path / "clips.tsv"
    table.write_text("clip\tkind\taction\n13_01\tsit\tsit down\n13_02\tsit\tsit\n")
    monkeypatch.setattr(cmu, "TABLE", table)
    write(tmp_path / "13_01.npz", _clip(_moving()))
    with pytest.raises(InputError, match="expected the clips 13_02 too"):
        cmu.collect([tmp_path])


def test_the_table_names_every_carried_clip():
    names = cmu.names()
    carried = {clip.name: (clip.kind, clip.action) for clip in motion.load()}
    assert carried == {name: names[name] for name in names if name not in cmu.DAMAGED}
