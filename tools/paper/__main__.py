"""What a stage of the paper's experiments needs and takes, before it starts: python -m tools.paper.

    python -m tools.paper check --h36m /data/h36m --start CPM.caffemodel --net cpm lifting --gpu 0
    python -m tools.paper data --h36m /data/h36m --data build/h36m
    python -m tools.paper prior|train|eval --data build/h36m --net lifting

`make paper` runs it before each of its stages. It prints time, disk and memory, and refuses what
cannot end well: a dataset that is not whole, weights of another network, a GPU that is not there, a
disk that is too small. `check` is all of that at once, before the first stage.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prior import mocap, program
from prior.errors import InputError
from python_layers.data import annotations
from tools.arguments import add_gpu, positive
from tools.caffe_io import process
from tools.caffe_io.files import read_net, read_solver, read_weights
from tools.convert import h36m
from tools.convert.h36m_files import PLACES, MissingError, Source, check_ends, missing_parts
from tools.paper import needs
from tools.train import snapshots

PROTOTXT = process.ROOT / "prototxt"


def check_dataset(folder):
    """The Source of the dataset, whole as far as can be seen without extracting it."""
    if folder is None or not folder.is_dir():
        raise InputError(f"H36M={folder or ''}: expected the folder of Human3.6M, got none")
    source = Source(folder, folder)
    if source.metadata is None:
        raise InputError(f"H36M={folder}: expected metadata.xml of the code release, got none")
    if parts := missing_parts(source, (*h36m.TRAINING, *h36m.TEST), list(PLACES)):
        raise MissingError(folder, parts)
    check_ends(source, (*h36m.TRAINING, *h36m.TEST), list(PLACES))
    return source


def check_start(weights, nets):
    """Raises InputError unless some layer of the weights is one of each network."""
    if weights is None or not weights.is_file():
        raise InputError(f"CPM={weights or ''}: expected the .caffemodel to start from, got none")
    theirs = read_weights(weights)
    for net in nets:
        layers = read_net(solver_of(net)[1]).layer
        fitting = [
            layer.name
            for layer in layers
            if layer.type == "Convolution" and layer.name in theirs and fits(layer, theirs)
        ]
        if not fitting:
            raise InputError(
                f"CPM={weights}: expected weights with layers of prototxt/{net}, by name and "
                f"shape, got {', '.join(list(theirs)[:3])}, ...: is it another network's?"
            )


def fits(layer, theirs):
    """Whether a convolution's weights have its number of outputs and its kernel."""
    shape, parameters = theirs[layer.name][0].shape, layer.convolution_param
    kernel = parameters.kernel_size[0]
    return len(shape) == 4 and (shape[0], *shape[2:]) == (parameters.num_output, kernel, kernel)


def solver_of(net, folder=PROTOTXT):
    """(the solver from weights of a network of prototxt/, the path of what it trains)."""
    path = folder / net / "solver_finetune.prototxt"
    if not path.is_file():
        raise InputError(f"NET={net}: expected a network of prototxt/, got none in {path.parent}")
    solver = read_solver(path)
    return solver, process.ROOT / solver.net


def of_training(net, iterations, out):
    """The Needs of a network's training."""
    solver, path = solver_of(net)
    iterations = iterations or solver.max_iter
    (data,) = [layer for layer in read_net(path).layer if layer.name == snapshots.DATA]
    batch = data.python_param.param_str.partition('"batch_size": ')[2].partition(",")[0]
    size = weights_size(path)
    every = solver.snapshot or iterations
    return needs.of_training(
        net,
        iterations,
        int(batch),
        iterations // every,
        size * (1 + snapshots.histories(solver)),
        out,
    )


def weights_size(path):
    """Bytes of the weights of a training network's convolutions."""
    size, channels = 0, {"data": 3, "center_map": 1}
    for layer in read_net(path).layer:
        # Of labels and cameras, which no convolution reads, there is no need to know.
        reads = [channels.get(bottom, 0) for bottom in layer.bottom] or [0]
        gives = sum(reads) if layer.type == "Concat" else reads[0]
        if layer.type == "Convolution":
            parameters = layer.convolution_param
            kernel, gives = parameters.kernel_size[0], parameters.num_output
            size += 4 * gives * (kernel**2 * reads[0] // parameters.group + 1)
        for top in layer.top:
            channels.setdefault(top, gives)
    return size


def of_data(source, out):
    """The Needs of the dataset's preparation. Archives are extracted beside what is made."""
    archives = sum(path.stat().st_size for path in source.archives)
    videos = [
        path
        for subject in (*h36m.TRAINING, *h36m.TEST)
        if (place := source.place(subject, "Videos"))
        for path in place.iterdir()
    ]
    frames = archives + sum(path.stat().st_size for path in videos)
    # The packed JPEGs are some 1.5 times the videos' size: our estimate.
    return needs.Needs(f"Human3.6M into {out}", None, archives + 1.5 * frames, 2 * needs.GB, out)


def stage(options):
    """Check a stage, and print what it needs and takes."""
    if options.gpu is not None:
        process.check_gpu(options.gpu)
    asked, data = [], options.data

    def made(job, net):  # as the Makefile has it
        return data.parent / job / data.name / net.replace("/", "-")

    if options.stage in ("check", "data"):
        asked.append(of_data(check_dataset(options.h36m), data))
    if options.stage == "check":
        check_start(options.start, options.net)
    if options.stage == "prior":
        clips = [c for p in sorted((data / h36m.MOTION).glob("*.npz")) for c in mocap.read(p)]
        asked.append(needs.of_prior(sum(len(clip.poses) for clip in clips), data))
    if options.stage in ("check", "train"):
        asked += [of_training(net, options.iterations, made("train", net)) for net in options.net]
    if options.stage == "eval":
        images = len(annotations.load(data / "test.pack"))
        views = len(options.scales)
        asked += [needs.of_evaluation(net, images, views, made("eval", net)) for net in options.net]
    for one in asked:
        for line in needs.lines(one, options.gpu, data):
            print(line)
    needs.check(asked, data)


def named(text):
    """The path that make hands on; None where the user named none."""
    return Path(text) if text else None


def show_missing(options):
    """`stage`; the parts that a dataset lacks are listed."""
    try:
        stage(options)
    except MissingError as error:
        for line in error.parts:
            print(f"missing: {line}", file=sys.stderr)
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.paper", description=__doc__, formatter_class=program.HelpFormatter
    )
    parser.add_argument(
        "stage", choices=("check", "data", "prior", "train", "eval"), help="what is to start"
    )
    parser.add_argument("--h36m", type=named, metavar="FOLDER", help="the dataset as downloaded")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("build/h36m"),
        metavar="FOLDER",
        help="what make h36m makes of it",
    )
    parser.add_argument("--start", type=named, metavar="CAFFEMODEL", help="weights to start from")
    parser.add_argument(
        "--net", nargs="+", default=["cpm", "lifting"], metavar="NET", help="folders of prototxt/"
    )
    parser.add_argument(
        "--iterations", type=positive, metavar="N", help="of a training (default: the solver's)"
    )
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], metavar="S", help="as of tools.evaluate"
    )
    add_gpu(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), show_missing, arguments)


if __name__ == "__main__":
    sys.exit(main())
