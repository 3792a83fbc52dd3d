"""Reads and writes the format of the authors' released models, `prob_model_params.mat`.

It holds mu (K, 3L), mm, and e (K, J, 3L), orthonormal. Both are unwrapped as all x, all depth, all
up: z is up, and the mean person faces along the depth axis. sigma (K, J + 1) are inverse standard
deviations, 1 / mm, that of the noise last. There are no mixture weights and no names of landmarks.
The files written here have `weight` (K,) besides, which other readers ignore.
"""

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import savemat

from prior import foreign, matlab
from prior.errors import short
from prior.files import FilePath, replacing
from prior.model import ModelFileError, PriorModel
from prior.normalise import centred
from prior.skeleton import HUMAN36M, Skeleton


def read(path: FilePath, skeleton: Skeleton = HUMAN36M) -> PriorModel:
    """The PriorModel of a skeleton in a .mat file. Raises ModelFileError.

    In a file without weights all components weigh the same.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; expected prob_model_params.mat")
    values = matlab.load(path, ModelFileError)
    try:
        mu, e, sigma = (np.asarray(values[name], dtype=float) for name in ("mu", "e", "sigma"))
        weight = np.ravel(np.asarray(values.get("weight", np.ones(len(mu))), dtype=float))
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(
            f"{path}: expected a .mat file with mu, e and sigma, got {short(repr(error), 100)}"
        ) from None
    size = 3 * len(skeleton)
    if (
        mu.ndim != 2
        or e.ndim != 3
        or mu.shape[1] != size
        or e.shape[::2] != mu.shape
        or sigma.shape != (len(mu), e.shape[1] + 1)
    ):
        raise ModelFileError(
            f"{path}: expected mu (K, {size}), e (K, J, {size}) and sigma (K, J + 1), "
            f"got {mu.shape}, {e.shape} and {sigma.shape}"
        )
    if e.shape[1] > size:
        raise ModelFileError(f"{path}: e: expected at most {size} vectors, got {e.shape[1]}")
    if not (sigma > 0).all() or not np.isfinite(sigma).all():
        raise ModelFileError(f"{path}: sigma: expected positive numbers, got {sigma.min():.3g}")
    mean = centred(_from_released(mu))
    basis = _from_released(e)
    std = 1 / sigma
    order = np.argsort(-std[:, :-1], axis=1, kind="stable")
    if weight.shape != (len(mu),):
        raise ModelFileError(f"{path}: weight: expected ({len(mu)},), got {weight.shape}")
    scale_mm = float(np.median(skeleton.limb_scale(mean)))
    model = PriorModel(
        mean=mean / scale_mm,
        basis=np.take_along_axis(basis, order[..., None, None], axis=1),
        std=np.take_along_axis(std[:, :-1], order, axis=1) / scale_mm,
        noise_std=std[:, -1] / scale_mm,
        weight=weight / weight.sum(),
        scale_mm=scale_mm,
        # The file has no training poses to draw: the means stand for them.
        seeds=mean / scale_mm,
        sample=(mean / scale_mm).astype(np.float32),
        meta={
            "source": f"imported from {path.name}",
            "data_sha256": hashlib.sha256(foreign.read_bytes(path)).hexdigest(),
        },
        skeleton=skeleton,
    )
    model.check(path)
    return model


def write(path: FilePath, model: PriorModel) -> None:
    """Write a PriorModel: all of it, or nothing."""
    values = {
        "mu": _to_released(model.mean) * model.scale_mm,
        "e": _to_released(model.basis),
        "sigma": 1 / (np.column_stack([model.std, model.noise_std]) * model.scale_mm),
        "weight": model.weight,
    }
    with replacing(path) as temporary, open(temporary, "wb") as file:
        savemat(file, values, do_compression=True)


# Their axes are x, depth, up. Ours are right-handed: x, up, and minus depth.
def _from_released(rows: Float[np.ndarray, "*batch D"]) -> Float[np.ndarray, "*batch L 3"]:
    x, depth, up = np.moveaxis(rows.reshape(*rows.shape[:-1], 3, rows.shape[-1] // 3), -2, 0)
    return np.stack([x, up, -depth], axis=-1)


def _to_released(poses: Float[np.ndarray, "*batch L 3"]) -> Float[np.ndarray, "*batch D"]:
    x, y, z = np.moveaxis(poses, -1, 0)
    return np.stack([x, -z, y], axis=-2).reshape(*poses.shape[:-2], 3 * x.shape[-1])
