"""What is called again and again: each job is made in a folder, and gives the call."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import prior
from prior.skeleton import L
from tests import landmark_files
from tests.browser import CHROMIUM, Browser
from tests.fuzz.targets.motion import TARGETS
from tests.poses import random_poses
from tools.caffe_io import process as caffe_process

HAVE_CAFFE = (caffe_process.caffe_root() / "python/caffe/_caffe.so").exists()


class Job(NamedTuple):
    """make(folder) gives a call. hour: calls that stand for an hour's; short: for a test."""

    make: Callable
    hour: int
    short: int


# Of gaps and confidences: few, so that a short soak fills the lifter's tables for them in its first
# quarter.
KINDS = 3


def lifter(_folder):
    """Other poses each time: with gaps and confidences, refined, as a motion."""
    model, random = prior.load(), np.random.default_rng(0)
    lifting = prior.Lifter(model)
    missing = random.random((KINDS, 4, L)) < 0.1
    confidence = random.random((KINDS, 4, L))
    points = landmark_files.image_points(landmark_files.walk(2000))

    def call():
        rows = random.integers(len(points), size=4)
        some = points[rows] + random.normal(0, 3, (4, L, 2))
        kind = int(random.integers(KINDS))
        some[missing[kind]] = np.nan
        lifted = lifting.lift(some, confidence=confidence[kind])
        lifting.deviation(lifted)
        lifting.lift(points[rows], refine=True)
        start = int(random.integers(len(points) - 4))
        lifting.lift_track(points[start : start + 4], 30.0)

    return call


def readers(folder):
    """Files in a process of its own, and others."""
    reads = []
    for target in TARGETS:
        if target.name in ("mocap .cdf", "mocap .c3d", "mocap .npz", "mocap .amc"):
            place = folder / target.name.replace(" ", "")
            place.mkdir()
            reads.append(functools.partial(target.read, target.make(place)))

    def call():
        for read in reads:
            read()

    return call


def layers(folder):
    """Forward and backward through each layer, with other maps each time."""
    from tests.caffe import layer_net

    model = folder / "prior.npz"
    prior.fit(random_poses(300), components=2, basis=6, solver="closed-form").save(model)
    for name in ("lifting", "projection", "fusion"):
        (folder / name).mkdir()
    parameters = {"model": str(model), "backward": "exact", "sigma": layer_net.SIGMA}
    nets = (
        layer_net.lifting(folder / "lifting", parameters, camera=True, pose=True),
        layer_net.projection(folder / "projection"),
        layer_net.fusion(folder / "fusion"),
    )
    random, seeds = np.random.default_rng(0), itertools.count()

    def call():
        maps = layer_net.seen_by(layer_net.TILTED, seed=next(seeds) % 1000)
        gradients = {
            "landmarks": random.normal(size=(layer_net.N, L, 2)),
            "pose": random.normal(size=(layer_net.N, L, 3)),
        }
        layer_net.run(nets[0], gradients, maps=maps, camera=layer_net.TILTED)
        landmarks = nets[0].blobs["landmarks"].data
        top = {"top": random.normal(size=nets[1].blobs["top"].data.shape)}
        layer_net.run(nets[1], top, landmarks=landmarks, maps=maps)
        b, bhat = random.normal(size=(2, *layer_net.SMALL))
        top = {"top": random.normal(size=layer_net.SMALL)}
        layer_net.run(nets[2], top, b=b, bhat=bhat)

    return call


def data(folder, workers=2):
    """Batches of the data layer, made ahead by its workers."""
    from tests.caffe.layer_net import net, python_layer
    from tests.caffe.seven_people import BATCH, FIXED, TOPS, write_people

    parameters = {
        "source": write_people(folder),
        "batch_size": BATCH,
        "input_size": 64,
        "stride": 4,
        "augment": True,
        "seed": 3,
        "workers": workers,
    }
    layer = python_layer("pose_data", "PoseDataLayer", parameters, (), TOPS, FIXED, "people")
    return net(folder, layer).forward


def evaluation(folder):
    """All people of the tiny data through a network, with workers that come and go."""
    import caffe

    from python_layers.data import annotations
    from tests.caffe import tiny_world
    from tools.infer.estimator import Estimator, Network, annotated

    people = annotations.load(tiny_world.write_data(folder / "data"))
    model = tiny_world.write_prior(folder / "prior.npz")
    deploy, weights = folder / "deploy.prototxt", folder / "a.caffemodel"
    source = caffe_process.ROOT / "prototxt/lite/lifting/deploy.prototxt"
    deploy.write_text(tiny_world.adapt(source, prior=model))
    untrained = caffe.Net(str(deploy), caffe.TEST)
    tiny_world.settle(untrained)
    untrained.save(str(weights))
    estimator = Estimator(Network(deploy, weights, None, 2), workers=2)

    def call():
        person_of = functools.partial(annotated, people)
        assert len(list(estimator.estimates(range(len(people)), person_of))) == len(people)

    return call


def page(folder):
    """The viewer's page in Chromium: stepped, turned and drawn."""
    from tools.lift import __main__ as tool

    points = landmark_files.image_points(landmark_files.walk(40))
    source = landmark_files.arrays(folder / "a.npz", points, rate=20.0)
    status = tool.main([str(source), "--no-deviation", "--out", str(folder / "page.html")])
    assert status in (0, 3)
    browser = Browser(folder / "profile").__enter__()  # it ends with this process' pipes
    browser.open((folder / "page.html").as_uri(), 800, 600)
    browser.call("HeapProfiler.enable")
    keys = itertools.cycle([*["ArrowRight"] * 5, "ArrowLeft", "ArrowUp", "ArrowDown", "t", "s"])
    count = itertools.count()

    def call():
        browser.key(next(keys))
        browser.value("now = (now + 1) % frames.length; draw()")
        browser.frame()
        if next(count) % 50 == 0:
            browser.call("HeapProfiler.collectGarbage")
        assert not browser.errors

    return call


JOBS = {"lifter": Job(lifter, 20_000, 60), "readers": Job(readers, 2_000, 40)}
if HAVE_CAFFE:
    JOBS |= {
        "layers": Job(layers, 20_000, 200),
        "data layer": Job(data, 20_000, 400),
        "evaluation": Job(evaluation, 1_000, 20),
    }
if CHROMIUM is not None:
    JOBS["page"] = Job(page, 20_000, 120)
