"""Which network a user means, and an estimator with it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import prior
from prior.errors import InputError
from prior.skeleton import HUMAN36M
from prototxt.named import check_same
from tools.evaluate.lifting import LandmarkLifter
from tools.infer import onnx_network
from tools.infer.estimator import Estimator, Network
from tools.infer.released import ReleasedEstimator, ReleasedNetwork, is_ours, landmark_set

ROOT = Path(__file__).resolve().parents[2]
# The network that comes with the project: README.md beside it says what it learned from.
SHIPPED = tuple(
    ROOT / "prototxt/small/lifting" / name for name in ("deploy.prototxt", "photographs.caffemodel")
)


class Chosen(NamedTuple):
    """network: (DEPLOY, CAFFEMODEL), or (FOLDER,) of an exported one; inputs: the other paths."""

    network: tuple[Path, ...]
    inputs: list[Path]


def choose(paths: Sequence[Path]) -> Chosen:
    """The network that a command line begins with, otherwise the one that comes with the project.

    Raises InputError where a network is not whole, or nothing comes after it.
    """
    first, *rest = paths
    if onnx_network.is_exported(first):
        chosen = Chosen((first,), rest)
    elif first.suffix == ".prototxt":
        if not rest or rest[0].suffix != ".caffemodel":
            raise InputError(
                f"{first}: expected its weights next, a .caffemodel, got {rest[0] if rest else ''}"
            )
        chosen = Chosen((first, rest[0]), rest[1:])
    else:
        chosen = Chosen(SHIPPED, [*paths])
        missing = [path for path in SHIPPED if not path.is_file()]
        if missing:
            raise InputError(
                f"{missing[0]}: not there, the network that comes with the project; name one: "
                "DEPLOY CAFFEMODEL IMAGE..."
            )
    if not chosen.inputs:
        raise InputError(f"{paths[-1]}: expected images, a folder of them or a video next")
    return chosen


def open_network(
    network: tuple[Path, ...], options: argparse.Namespace
) -> tuple[Estimator | ReleasedEstimator, LandmarkLifter | None]:
    """(an estimator with a network, what lifts its landmarks). options: of tools.infer.predict."""
    averaging: dict[str, Any] = {
        name: getattr(options, name) for name in ("scales", "flip", "subpixel")
    }
    if len(network) == 1 or is_ours(network[0]):
        if options.landmarks:
            raise InputError(f"{network[0]}: a network of ours, whose landmarks are known")
        model = prior.load(options.prior) if options.prior else None
        ours = onnx_network.OnnxNetwork(*network, model) if len(network) == 1 else Network(*network)
        if model is None and ours.lifts:
            model = prior.load(ours.lifting["model"])
        if model is not None:
            named = options.prior or ours.lifting["model"]
            check_same(ours.skeleton, model.skeleton, network[0], named)
        estimator = Estimator(ours, model=model, **averaging)
        return estimator, model and LandmarkLifter(model, options.as_published)
    model = prior.load(options.prior, HUMAN36M) if options.prior else None
    landmarks = landmark_set(options.landmarks) if options.landmarks else None
    released = ReleasedNetwork(*network, landmarks, options.gpu)
    print(released)
    others = ReleasedEstimator(
        released, least=options.min_confidence, in_box=options.box is not None, **averaging
    )
    return others, LandmarkLifter(model or prior.load(), options.as_published)
