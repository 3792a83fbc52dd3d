"""Time, disk and memory of the stages, from what was measured: the record of the networks' times.

What the CPU takes is said, and how much work that is.
"""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from prior.errors import InputError

RECORD = Path(__file__).parents[1] / "report/records/network.json"
GPU_RECORD = RECORD.with_name("network-gpu.json")
GB = 1e9
# bytes. Of Human3.6M's frames as they are packed: JPEGs of some 600 px, our estimate.
PACKED_FRAME = 120e3
# Of one estimate in predictions.npz and its parts: points, beliefs, covariances of 6 stages, poses.
ESTIMATE = 2 * 20e3
# The unrolled convolutions of CPM's first layers: one iteration of the paper's network, a test.
MEMORY = {"cpm": 7 * GB, "lifting": 7 * GB, "vgg/cpm": 3 * GB, "vgg/lifting": 3 * GB}
SMALL_MEMORY = 1 * GB
# s for a pose of the prior's fit: Ceres, three components, as RESULTS.md has it; at 100,000 poses.
FIT_SECONDS = 1e-3


class Needs(NamedTuple):
    """What a stage needs and takes; seconds on this project's measuring CPU, or None: not known."""

    what: str
    seconds: float | None
    disk: float  # bytes, of all that it leaves
    memory: float  # bytes
    out: Path  # the folder that it fills


class Rates(NamedTuple):
    """Seconds an image of a network on the machine of a record: of training, and deployed."""

    train: float
    deploy: float


def rates(net):
    """The Rates of a network of the record, and on what: (Rates or None, machine in words)."""
    record = json.loads(RECORD.read_text())
    machine = f"{record['cores_used']} cores of an {record['measured']['machine']}"
    times = record["networks"].get(net)
    if times is None:
        return None, machine
    train = times["train"]
    return (
        Rates(train["iteration_ms"] / train["batch"] / 1e3, times["deploy"]["forward_ms"] / 1e3),
        machine,
    )


def gpu_rates(net):
    """The Rates of a network on the GPU of its record, and which GPU: (Rates, its name)."""
    record = json.loads(GPU_RECORD.read_text())
    train, deploy = (record["networks"][net][phase] for phase in ("train", "deploy"))
    seconds = (phase["whole_ms"] / train["batch"] / 1e3 for phase in (train, deploy))
    return Rates(*seconds), record["gpu"]


def of_prior(poses, out):
    """Of the fit of a prior to so many poses."""
    return Needs(f"fit of the prior to {poses:,} poses", FIT_SECONDS * poses, 1e6, 1 * GB, out)


def of_training(net, iterations, batch, snapshots, weights, out):
    """Of a training. snapshots: how many; weights: bytes of one, its state too."""
    known, _ = rates(net)
    return Needs(
        f"training of {net}, {iterations:,} iterations of {batch} images",
        known and known.train * iterations * batch,
        weights * (snapshots + 2),
        MEMORY.get(net, SMALL_MEMORY),
        out,
    )


def of_evaluation(net, images, views, out):
    """Of the network on so many images, each shown in `views` ways."""
    known, _ = rates(net)
    return Needs(
        f"evaluation of {net}, {images:,} images at {views} scale{'s' * (views > 1)}",
        known and known.deploy * images * views,
        ESTIMATE * images,
        MEMORY.get(net, SMALL_MEMORY),
        out,
    )


def duration(seconds):
    """Seconds in words."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, seconds):.0f} s"


def lines(needs, gpu, folder):
    """The lines that a stage says before it starts. gpu: that it runs on, or None."""
    _, machine = rates("")
    if needs.seconds is None:
        time = "time: not measured"
    elif gpu is None:
        time = f"time: {duration(needs.seconds)} on {machine}, as measured (RESULTS.md)"
    else:
        time = f"time: not measured on a GPU; {duration(needs.seconds)} on {machine}"
    free = shutil.disk_usage(_there(folder)).free
    yield f"paper: {needs.what}"
    yield f"  {time}"
    yield f"  disk: {needs.disk / GB:.1f} GB in {needs.out}, {free / GB:.1f} GB are free"
    yield f"  memory: {needs.memory / GB:.0f} GB, {total_memory() / GB:.0f} GB are here"


def check(asked, folder):
    """Raises InputError where the disk has no room for all that is asked, together.

    What a stage left before it stopped, or when it was done, is there already.
    """
    free = shutil.disk_usage(_there(folder)).free
    total = sum(max(0, needs.disk - _size(needs.out)) for needs in asked)
    if total > free:
        raise InputError(
            f"{', '.join(needs.what for needs in asked)}: needs {total / GB:.1f} GB in {folder}, "
            f"and {free / GB:.1f} GB are free: make room, or make build a link to a larger disk"
        )


def total_memory():
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _size(folder):
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _there(folder):
    """The nearest folder that exists."""
    return next(
        p for p in [Path(folder).absolute(), *Path(folder).absolute().parents] if p.exists()
    )
