"""Clips in our own format: an .npz (no pickle) with poses_mm, rate, subject and action.

poses_mm: (F, 17, 3) float32, mm, world, y up, the landmarks of prior.skeleton; rate: frames per
second; subject and action: text.
"""

import os
import zipfile
from pathlib import Path

import numpy as np

from prior.mocap import Clip, MocapError
from prior.skeleton import L

KEYS = ("poses_mm", "rate", "subject", "action")


def recognises(path):
    """Whether the file is an .npz that holds poses_mm (other .npz are not motion capture)."""
    if Path(path).suffix != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "poses_mm.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read(path):
    """The file's Clip, poses as float64. Raises MocapError when it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in KEYS if key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MocapError(
            f"{path}: expected an .npz without pickle, got {error}; write it again"
        ) from None
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise MocapError(
            f"{path}: expected the keys {', '.join(KEYS)}; missing: {', '.join(missing)}; "
            "write the file with prior.mocap.clip_npz.write"
        )
    poses, rate = arrays["poses_mm"], arrays["rate"]
    if poses.ndim != 3 or poses.shape[1:] != (L, 3) or poses.dtype.kind != "f" or len(poses) < 2:
        raise MocapError(
            f"{path}: expected poses_mm as (F, {L}, 3) floats with F of at least 2, "
            f"got {poses.shape} {poses.dtype}; use the landmarks of prior.skeleton"
        )
    bad = ~np.isfinite(poses).all(axis=(1, 2))
    if bad.any():
        raise MocapError(
            f"{path}: frame {int(np.argmax(bad))}: expected finite positions, got nan or inf; "
            "repair or drop the frame"
        )
    if rate.size != 1 or rate.dtype.kind not in "fiu" or not 0 < rate < np.inf:
        raise MocapError(
            f"{path}: expected rate as one positive number, got {rate}; give frames per second"
        )
    return Clip(poses.astype(float), float(rate), str(arrays["subject"]), str(arrays["action"]))


def write(path, clip):
    """Write a Clip; the file appears only when it is complete. Makes the folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                poses_mm=np.asarray(clip.poses, dtype=np.float32),
                rate=float(clip.rate),
                subject=clip.subject,
                action=clip.action,
            )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
