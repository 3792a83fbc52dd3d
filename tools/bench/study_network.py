"""What each choice of the paper's network is worth, in small: make study-network.

Every variant is trained on from the same pose machine, as the paper's network is from CPM, with the
same images in the same order and for the same number of iterations. This is done once for each
seed, which sets the order and the augmentation. Each run is then evaluated on the test images. An
interrupted study goes on where it stopped when the same command is run again. --out receives a
folder for each run, results.json, table.md and errors.png.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from prior import program
from prior.errors import InputError
from prior.files import replacing, write
from prototxt import generate
from tools import measured
from tools.caffe_io import process as caffe_process
from tools.caffe_io.process import ROOT, shown
from tools.markdown import table
from tools.train.__main__ import digest

PAPERS = "the paper's"


class StudyError(InputError):
    """Why the study cannot go on, in one line."""


class Variant(NamedTuple):
    """A way to build the network.

    name: how its runs' folders begin; kind: the folder, cpm or lifting; choices: what differs
    from the defaults of prototxt.choices; single: whether the prior has one component.
    """

    name: str
    kind: str
    choices: dict
    single: bool = False


VARIANTS = {
    "CPM alone": Variant("cpm", "cpm", {}),
    PAPERS: Variant("lifting", "lifting", {}),
    "gradients through the lifting": Variant("gradients", "lifting", {"backward": "scale-held"}),
    "landmarks weighed by their beliefs": Variant("weighed", "lifting", {"lift": "weighed"}),
    "one component, K = 1": Variant("single", "lifting", {}, single=True),
    "w fixed at 0.5": Variant("fixed", "lifting", {"fusion": "fixed"}),
}


class Run(NamedTuple):
    """One training and its evaluation, in a folder of its own, with the prior of its lifting."""

    variant: Variant
    seed: int
    folder: Path
    prior: Path

    @property
    def errors(self):
        return self.folder / "eval/errors.json"


def runs(options):
    """{a variant's title: its runs, one for each seed}."""
    return {
        title: [
            Run(
                variant,
                seed,
                options.out / f"{variant.name}-{seed}",
                options.prior_single if variant.single else options.prior,
            )
            for seed in options.seeds
        ]
        for title, variant in VARIANTS.items()
        if options.variants is None or variant.name in options.variants
    }


def prototxts(run, networks, data):
    """{path: content} of the run's solver, training and deploy network.

    networks: the folder of prototxt/, lite say; data: the annotations to train on, or None for
    those that these networks are fine-tuned on.
    """
    base = run.folder / "prototxt"
    choices = run.variant.choices | {"prior": shown(run.prior), "data": data and shown(data)}
    files = generate.files(shown(base), seed=run.seed, **choices)
    folder = f"{networks}/{run.variant.kind}"
    tuned = f"{folder}/train_finetune.prototxt"
    train = tuned if tuned in files else f"{folder}/train.prototxt"
    names = [f"{folder}/solver_finetune.prototxt", train, f"{folder}/deploy.prototxt"]
    return {base / name: files[name] for name in names}


def carry_out(run, options, stop):
    """Train and evaluate, unless that is done. Raises StudyError with the last error in the log."""
    files = {"start": options.start, "prior": run.prior, "test": options.test_data}
    if options.data:
        files["data"] = options.data
    texts = prototxts(run, options.networks, options.data)
    asked = {name: digest(path) for name, path in files.items()}
    asked |= {"iterations": options.iterations, "prototxts": list(texts.values())}
    note = run.folder / "asked.json"
    same = note.is_file() and json.loads(note.read_text()) == asked
    if same and run.errors.is_file():
        return
    run.errors.unlink(missing_ok=True)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, text)
    write(note, json.dumps(asked, indent=1))
    solver, _, deploy = texts
    with open(run.folder / "log.txt", "w") as log:
        for program in (
            [
                "tools.train",
                solver,
                "--weights",
                options.start,
                "--out",
                run.folder / "train",
                "--iterations",
                options.iterations,
                "--resume",
                "auto" if same else "none",
            ],
            [
                "tools.evaluate",
                deploy,
                run.folder / "train/final.caffemodel",
                "--data",
                options.test_data,
                "--prior",
                run.prior,
                "--out",
                run.folder / "eval",
            ],
        ):
            code = call(program, log, stop)
            if stop.is_set():
                return
            if code:
                stop.set()
                last = caffe_process.last_error(Path(log.name).read_text())
                raise StudyError(f"{run.folder.name}: {last}; see {shown(log.name)}")


def call(program, log, stop):
    """Run a program of ours to its end, or until `stop`; its exit code."""
    # Single-threaded runs side by side: products as small as the lite ones gain nothing from more.
    environment = caffe_process.environment() | {"OPENBLAS_NUM_THREADS": "1"}
    process = caffe_process.start_bound(
        [sys.executable, "-m", *program],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    while process.poll() is None:
        if stop.wait(0.2):
            process.terminate()  # a training keeps a snapshot
            process.wait()
    return process.returncode


def study(options):
    """Carry out all runs, several at a time: {a variant's title: [the errors of each seed]}."""
    import prototxt.networks  # noqa: F401 (needs Caffe: before the threads, so that one says so)

    stop, planned = threading.Event(), runs(options)
    # Seed by seed: a part of the study has all variants.
    order = [run for same_seed in zip(*planned.values(), strict=True) for run in same_seed]
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            waiting = [pool.submit(carry_out, run, options, stop) for run in order]
            done = as_completed(waiting)
            for future in tqdm(done, "study", len(order), unit="run", disable=None):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {
        title: [json.loads(run.errors.read_text()) for run in same]
        for title, same in planned.items()
    }


def _percent(key):
    """Takes a share from errors.json, where it is."""
    return lambda e: None if e.get(key) is None else 100 * e[key]


MEASURES = {  # title: (digits, from errors.json, None where the data cannot tell)
    "2D px": (2, lambda e: e["error_2d_px"]),
    "2D px by stage": (1, lambda e: e["error_2d_px_by_stage"]),
    "before the fusion": (1, lambda e: e.get("error_2d_px_before_fusion_by_stage")),
    "PCKh@0.5 %": (1, _percent("pckh")),
    "PCK@0.2 %": (1, _percent("pck_0.2")),
    "PCK@0.2 %, upright": (1, _percent("pck_0.2_upright")),
    "3D mm": (0, lambda e: e.get("mpjpe_mm")),
    "3D mm, Procrustes": (0, lambda e: e.get("errors_3d_mm", {}).get("procrustes")),
    "3D mm, of its own lifting": (0, lambda e: e.get("network_mpjpe_mm")),
    "w by stage": (2, lambda e: e.get("fusion_weight_by_stage")),
}
COMPARED = ("2D px", "PCK@0.2 %", "3D mm")


def spread(numbers, digits):
    """The seeds' numbers as "mean ± standard deviation"; where they are lists, their means."""
    if numbers[0] is None:
        return ""
    mean = np.mean(numbers, axis=0)
    if np.ndim(mean):
        return ", ".join(f"{x:.{digits}f}" for x in mean)
    deviation = np.std(numbers, ddof=1) if len(numbers) > 1 else np.nan
    return f"{mean:.{digits}f} ± {deviation:.{max(digits, 1)}f}"


def values(errors_by_title):
    """{a variant's title: {measure: [the value of each seed]}}."""
    return {
        title: {name: [take(e) for e in errors] for name, (_, take) in MEASURES.items()}
        for title, errors in errors_by_title.items()
    }


def markdown(record):
    """The tables of results.json in Markdown: means and standard deviations over the seeds."""
    errors = record["variants"]
    measures = {
        name: digits
        for name, (digits, _) in MEASURES.items()
        if any(numbers.get(name, [None])[0] is not None for numbers in errors.values())
    }
    compared = [name for name in COMPARED if name in measures and PAPERS in errors]
    rows = []
    for title, numbers in errors.items():
        row = [spread(numbers[name], digits) for name, digits in measures.items()]
        for name in compared:  # one seed has the same images for all: compared pair by pair
            pairs = np.subtract(numbers[name], errors[PAPERS][name])
            row.append("" if title == PAPERS else spread(list(pairs), MEASURES[name][0]))
        rows.append([title, *row])
    head = ("", *measures, *(f"{name}, less {PAPERS}" for name in compared))
    seeds = ", ".join(map(str, record["seeds"]))
    return (
        f"Mean ± standard deviation over the seeds {seeds}; {record['iterations']} iterations "
        f"each.\n\n{table(head, rows)}"
    )


def figure(errors_by_title):
    """The 2D error by stage of each variant, and its 3D error or, without 3D truth, its PCK@0.2:
    the means, and each seed as a dot. Both have the colours of the names on the right."""
    posed = all("mpjpe_mm" in e for errors in errors_by_title.values() for e in errors)
    measure = "mpjpe_mm" if posed else "pck_0.2"
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for i, errors in enumerate(errors_by_title.values()):
        stages = np.array([e["error_2d_px_by_stage"] for e in errors])
        at = np.arange(1, stages.shape[1] + 1) + 0.02 * (i - len(errors_by_title) / 2)
        (line,) = left.plot(at, stages.mean(axis=0), linewidth=1)
        left.plot(at, stages.T, ".", color=line.get_color(), markersize=4)
        scores = np.array([e[measure] for e in errors])
        right.barh(i, scores.mean(), color=line.get_color(), alpha=0.4)
        right.plot(scores, np.full(len(scores), i), ".", color=line.get_color())
    left.set(xlabel="stage", ylabel="2D error, px", xticks=range(1, stages.shape[1] + 1))
    label = "3D error, mm, root-aligned" if posed else "PCK@0.2 of the torso"
    right.set(xlabel=label, yticks=range(len(errors_by_title)))
    right.set_yticklabels(list(errors_by_title))
    right.invert_yaxis()
    return drawn


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.bench.study_network",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )

    def add_path(flag, default, text):
        parser.add_argument(
            flag,
            type=lambda path: Path(path).resolve(),
            default=ROOT / "build" / default,
            metavar="PATH",
            help=f"{text} (default: build/{default})",
        )

    parser.add_argument(
        "--networks",
        choices=("lite", "small"),
        default="lite",
        help="the folder of prototxt/ that has them (default: lite)",
    )
    add_path("--start", "train/lite-start/final.caffemodel", "the pose machine that all go on from")
    parser.add_argument(
        "--data",
        type=lambda path: Path(path).resolve(),
        metavar="PATH",
        help="the annotations to train on (default: what the networks are fine-tuned on)",
    )
    add_path("--test-data", "data/test.json", "the annotations to evaluate on")
    add_path("--prior", "prior.npz", "the pose model")
    add_path("--prior-single", "prior-1.npz", "the pose model of one component")
    add_path("--out", "study/network", "the folder to write into")
    parser.add_argument(
        "--iterations", type=int, default=800, metavar="N", help="the iterations of each training"
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=[variant.name for variant in VARIANTS.values()],
        help="those to train (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[1, 2, 3],
        metavar="N",
        help="every variant is trained once with each of these seeds",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="how many train at a time, on one core each (default: the number of cores)",
    )
    return parser


def write_study(options):
    """Carry the study out, and write its tables and figure."""
    if options.iterations < 1 or options.jobs < 1:
        raise StudyError("--iterations and --jobs: expected 1 or more")
    if min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        raise StudyError(f"--seeds: expected different ones from 0 on, got {options.seeds}")
    files = [options.start, options.test_data, options.prior, options.prior_single]
    for path in [*files, options.data] if options.data else files:
        digest(path)  # what is missing is named before the work begins
    errors = study(options)
    results = {
        "iterations": options.iterations,
        "seeds": options.seeds,
        "variants": values(errors),
    }
    write(options.out / "table.md", markdown(results) + "\n")
    with replacing(options.out / "errors.png") as temporary:
        figure(errors).savefig(temporary, format="png", dpi=110)
    measured.publish(options.out / "results.json", results, markdown(results))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), write_study, arguments, interrupted="the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
