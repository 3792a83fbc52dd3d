"""Belief maps -> landmarks -> 3D pose -> projected landmarks (paper: 5.3, eqs. 4 and 5)."""

import functools
import os
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import caffe
import numpy as np

import prior
from prior.errors import InputError
from prior.lifting.lifter import ROTATIONS
from python_layers import belief_maps, params
from python_layers.params import Blobs, Flags

NAME = "LiftingLayer"


@dataclass(frozen=True)
class Params:
    model: str  # path of the prior, from the directory where Caffe runs
    rotations: int = ROTATIONS  # how many about the vertical are tried, section 5.3
    noise_mm: float | None = None  # of the detector, at the body's scale; None: prior.Lifter's
    # What makes a rotation the best. Equation 4 has "cost", with noise_mm 0.
    criterion: Literal["density", "cost"] = "density"
    subpixel: bool = False  # our option; the paper takes the maps' cells
    # Ours: each landmark's noise is the covariance of its belief. In the paper all are alike.
    covariance: bool = False
    backward: Literal["none", "scale-held", "exact"] = "none"  # through eq. 4, see below
    # Of the label's Gaussian, map px: for the covariances, and for the gradient from coordinates to
    # maps. CPM's is 7 px of the input, and a cell of a map is 8.
    sigma: float = belief_maps.LABEL_SIGMA / 8

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise InputError(f"sigma: expected > 0 map px, got {self.sigma}")


def _version(path: str) -> tuple[int, int] | None:
    """What changes when the file does. None where there is no file: prior.load will say so."""
    try:
        file = os.stat(path)
    except OSError:
        return None
    return file.st_mtime_ns, file.st_size


@functools.lru_cache(maxsize=2)
def _lifter(
    path: str,
    version: tuple[int, int] | None,
    rotations: int,
    noise_mm: float | None,
    criterion: str,
) -> prior.Lifter:
    """The Lifter that all layers with these parameters share, because it keeps large tables.

    version: of the file, so that a changed file is read again.
    """
    options: dict[str, Any] = {} if noise_mm is None else {"noise_mm": noise_mm}
    return prior.Lifter(prior.load(path), rotations=rotations, criterion=criterion, **options)


class LiftingLayer(caffe.Layer):
    """The most probable 3D pose behind the maximum of each belief map, eq. 4, and its projection.

    Bottoms: maps (N, L + 1, H, W); camera (N, 3, 3), world to camera, level if there is none.
    Tops: landmarks (N, L, 2), the pose's projection, eq. 5, in map px; pose (N, L, 3), mm, in the
    world's axes, centred on the mean landmark (a top that may be left out).

    `backward`: "none" gives zeros; the paper reports that training does as well with it.
    "scale-held" is the supplement's gradient, with the scale held; "exact" is the gradient of the
    joint least squares in (s, a). Covariances are taken as given.
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        params.check_count(NAME, "bottoms", bottom, [1, 2])
        params.check_count(NAME, "tops", top, [1, 2])
        self.parameters = chosen = params.read(NAME, self.param_str, Params)
        try:
            self.lifter = _lifter(
                chosen.model,
                _version(chosen.model),
                chosen.rotations,
                chosen.noise_mm,
                chosen.criterion,
            )
        except (OSError, InputError) as error:
            raise InputError(f"{NAME}: {error}") from None

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        landmarks = len(self.lifter.model.skeleton)
        maps = (None, landmarks + 1, None, None)
        params.check_shape(NAME, "bottom 1 (maps)", bottom[0], maps)
        n = bottom[0].shape[0]
        if len(bottom) > 1:
            params.check_shape(NAME, "bottom 2 (camera)", bottom[1], (n, 3, 3))
        top[0].reshape(n, landmarks, 2)
        if len(top) > 1:
            top[1].reshape(n, landmarks, 3)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self.points, peak = belief_maps.argmax(
            bottom[0].data, self.parameters.subpixel, len(self.lifter.model.skeleton)
        )
        if not np.isfinite(peak).all():
            raise InputError(
                f"{NAME}: bottom 1 (maps): expected finite numbers, got nan or inf; has the "
                "training diverged? try a lower base_lr"
            )
        camera = bottom[1].data.astype(float) if len(bottom) > 1 else None
        covariance = None
        if self.parameters.covariance:
            sigma = self.parameters.sigma
            covariance = belief_maps.covariance(bottom[0].data, self.points, sigma)
        with warnings.catch_warnings():
            # At the start of a training the maxima of all maps are often in one place. Such a
            # pose cannot be lifted, and its projection is the landmarks' mean.
            warnings.simplefilter("ignore")
            self.lifted = self.lifter.lift(self.points, camera=camera, covariance=covariance)
        top[0].data[...] = self.lifted.projection
        if len(top) > 1:
            top[1].data[...] = self.lifted.pose

    def backward(self, top: Blobs, propagate_down: Flags, bottom: Blobs) -> None:
        if len(bottom) > 1 and propagate_down[1]:
            bottom[1].diff[...] = 0
        if not propagate_down[0]:
            return
        if self.parameters.backward == "none":
            bottom[0].diff[...] = 0
            return
        gradient = self.lifter.vjp(
            self.lifted,
            projection=top[0].diff,
            pose=top[1].diff if len(top) > 1 else None,
            scale="held" if self.parameters.backward == "scale-held" else "exact",
        )
        height, width = bottom[0].data.shape[2:]
        bottom[0].diff[...] = belief_maps.argmax_vjp(
            self.points, gradient, height, width, self.parameters.sigma
        )
