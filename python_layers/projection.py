"""Projected landmarks -> belief maps (paper: 5.4, eq. 6)."""

from dataclasses import dataclass
from typing import Literal

import caffe

from prior.errors import InputError
from python_layers import belief_maps, params
from python_layers.params import Blobs, Flags

NAME = "ProjectionLayer"


@dataclass(frozen=True)
class Params:
    sigma: float  # of the Gaussian, map px: the label's
    backward: Literal["none", "central-difference"] = "none"  # the latter is the supplement's

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise InputError(f"sigma: expected > 0 map px, got {self.sigma}")


class ProjectionLayer(caffe.Layer):
    """A Gaussian at each landmark, eq. 6, and the background, 1 - max over landmarks.

    Bottoms: landmarks (N, L, 2) in map px; maps (N, L + 1, H, W), for their shape alone.
    Top: maps (N, L + 1, H, W).
    """

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        params.check_count(NAME, "bottoms", bottom, [2])
        params.check_count(NAME, "tops", top, [1])
        self.parameters = params.read(NAME, self.param_str, Params)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        params.check_shape(NAME, "bottom 1 (landmarks)", bottom[0], (None, None, 2))
        n, landmarks, _ = bottom[0].shape
        params.check_shape(NAME, "bottom 2 (maps)", bottom[1], (n, landmarks + 1, None, None))
        top[0].reshape(*bottom[1].shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        height, width = top[0].data.shape[2:]
        top[0].data[...] = belief_maps.render(bottom[0].data, height, width, self.parameters.sigma)

    def backward(self, top: Blobs, propagate_down: Flags, bottom: Blobs) -> None:
        if propagate_down[1]:
            bottom[1].diff[...] = 0
        if not propagate_down[0]:
            return
        if self.parameters.backward == "none":
            bottom[0].diff[...] = 0
        else:
            bottom[0].diff[...] = belief_maps.render_vjp(
                bottom[0].data, top[0].diff, self.parameters.sigma
            )
