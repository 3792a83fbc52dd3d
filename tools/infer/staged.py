"""What the blobs of a network of ours are, whoever runs it: Caffe, or ONNX Runtime."""

import re
from collections.abc import Iterable

from prior.skeleton import Skeleton


class Staged:
    """The names of the blobs of a network of T stages.

    Who runs one adds size, px of its input; stride, of its maps; sigma, of their labels, px of the
    input; lifting, the parameters of its layer; fusion, the weights w_t; and `run(inputs, names)`.
    """

    def __init__(self, blobs: Iterable[str], skeleton: Skeleton) -> None:
        """blobs: names of all of them; skeleton: whose landmarks the maps are of."""
        self.skeleton = skeleton
        self.blobs = frozenset(blobs)
        # Caffe adds blobs of its own, with longer names, where one is read twice.
        self.stages = len([name for name in self.blobs if re.fullmatch(r"beliefs_stage\d+", name)])
        self.lifts = "pose" in self.blobs

    def maps_before(self, t: int) -> str:
        """Name of stage t's CNN maps, t from 0."""
        return f"beliefs_stage{t + 1}"

    def maps_after(self, t: int) -> str:
        """Name of the maps that leave stage t."""
        fused = f"fused_stage{t + 1}"
        return fused if fused in self.blobs else self.maps_before(t)

    def pose(self, t: int) -> str:
        """Name of stage t's pose; one without lifting of its own (an option) has the last."""
        return next(p for p in (f"pose_stage{t + 1}", "pose") if p in self.blobs)

    def by_stage(self, kind: str) -> list[str]:
        """Names of the blobs of a kind, such as "fused", of the stages that have one, in order."""
        stages = (f"{kind}_stage{t + 1}" for t in range(self.stages))
        return [name for name in stages if name in self.blobs]
