"""What each choice of the paper's network is worth, in small: make study-network.

Every variant goes on from the same trained pose machine, as the paper's network does from CPM, with
the same images in the same order, for the same iterations; once for each seed, which sets that
order and the augmentation. Then it is evaluated on the test images. Interrupted, it goes on from
there the next time. Into --out: a folder for each run; results.json, table.md and errors.png.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

from prior.files import replacing, write
from prior.program import one_line_errors
from prototxt import generate
from tools import caffe_process
from tools.caffe_process import ROOT, CaffeError, shown

PAPERS = "the paper's"


class StudyError(Exception):
    """What stops the study, in one line."""


class Variant(NamedTuple):
    """kind: folder of prototxt/lite; choices: of generate.Choices; single: with the prior of one
    component."""

    kind: str
    choices: dict
    single: bool = False


VARIANTS = {
    "CPM alone": Variant("cpm", {}),
    PAPERS: Variant("lifting", {}),
    "gradients through the lifting": Variant("lifting", {"backward": "scale-held"}),
    "one component, K = 1": Variant("lifting", {}, single=True),
    "w fixed at 0.5": Variant("lifting", {"fusion": "fixed"}),
}


class Run(NamedTuple):
    """One training and its evaluation: folder, of its own; prior: of its lifting."""

    name: str
    seed: int
    folder: Path
    prior: Path

    @property
    def errors(self):
        return self.folder / "eval/errors.json"


def runs(given):
    """All of the study, seed by seed."""
    for seed in given.seeds:
        for number, (name, variant) in enumerate(VARIANTS.items()):
            prior = given.prior_single if variant.single else given.prior
            yield Run(name, seed, given.out / f"{seed}-{number}-{variant.kind}", prior)


def prepare(run, data):
    """Write the run's prototxts; returns the paths of solver and deploy network."""
    variant = VARIANTS[run.name]
    base = run.folder / "prototxt"
    files = generate.files(
        shown(base), **variant.choices, seed=run.seed, prior=shown(run.prior), data=shown(data)
    )
    folder = f"lite/{variant.kind}"
    for file in "train", "deploy", "solver_finetune":
        path = base / folder / f"{file}.prototxt"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, files[f"{folder}/{file}.prototxt"])
    return base / folder / "solver_finetune.prototxt", base / folder / "deploy.prototxt"


def commands(run, given):
    """The programs that a run is."""
    solver, deploy = prepare(run, given.data)
    yield ["tools.train", solver, "--weights", given.start, "--out", run.folder / "train",
           "--iterations", given.iterations]  # fmt: skip
    yield ["tools.evaluate", deploy, run.folder / "train/final.caffemodel", "--data",
           given.test_data, "--prior", run.prior, "--out", run.folder / "eval"]  # fmt: skip


def carry_out(run, given, stop):
    """Train and evaluate, unless the run before did. Raises StudyError with the last word."""
    files = {"start": given.start, "prior": run.prior, "data": given.data, "test": given.test_data}
    asked = {name: digest(path) for name, path in files.items()}
    asked |= {"iterations": given.iterations, "choices": VARIANTS[run.name].choices}
    done = run.folder / "asked.json"
    if run.errors.is_file() and done.is_file() and json.loads(done.read_text()) == asked:
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    # Single-threaded runs side by side: products as small as the lite ones gain nothing from more.
    environment = caffe_process.environment() | {"OPENBLAS_NUM_THREADS": "1"}
    with open(run.folder / "log.txt", "w") as log:
        for command in commands(run, given):
            command = [sys.executable, "-m", *map(str, command)]
            code = subprocess.call(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            if stop.is_set():
                return
            if code:
                last = caffe_process.last_error(Path(log.name).read_text())
                raise StudyError(f"{run.name}, seed {run.seed}: {last}; see {shown(log.name)}")
    write(done, json.dumps(asked, indent=1))


def study(given):
    """Carry all runs out, several at a time. Returns {variant: [errors of each seed]}."""
    stop, planned = threading.Event(), list(runs(given))
    with ThreadPoolExecutor(given.jobs) as pool:
        waiting = [pool.submit(carry_out, run, given, stop) for run in planned]
        bar = tqdm(as_completed(waiting), "study", len(planned), unit="run", disable=None)
        try:
            for future in bar:
                future.result()
        except BaseException:  # Ctrl-C reaches the trainings too: each keeps a snapshot
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    found = {name: [] for name in VARIANTS}
    for run in planned:
        found[run.name].append(json.loads(run.errors.read_text()))
    return found


MEASURES = {  # (title, digits, from errors.json)
    "2D px": (1, lambda e: e["error_2d_px"]),
    "2D px by stage": (1, lambda e: e["error_2d_px_by_stage"]),
    "before the fusion": (1, lambda e: e.get("error_2d_px_before_fusion_by_stage")),
    "PCKh@0.5 %": (1, lambda e: 100 * e["pckh"]),
    "3D mm": (0, lambda e: e["mpjpe_mm"]),
    "3D mm, Procrustes": (0, lambda e: e["errors_3d_mm"]["procrustes"]),
    "w by stage": (2, lambda e: e.get("fusion_weight_by_stage")),
}
COMPARED = ("2D px", "3D mm")


def spread(values, digits):
    """ "mean ± standard deviation" of the seeds' numbers; of lists the means."""
    if values[0] is None:
        return ""
    mean = np.mean(values, axis=0)
    if np.ndim(mean):
        return ", ".join(f"{x:.{digits}f}" for x in mean)
    deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return f"{mean:.{digits}f} ± {deviation:.{max(digits, 1)}f}"


def values(found):
    """{variant: {measure: each seed's}}."""
    return {
        name: {title: [take(e) for e in errors] for title, (_, take) in MEASURES.items()}
        for name, errors in found.items()
    }


def table(found):
    """Means and standard deviations over the seeds, in Markdown."""
    measured = values(found)
    rows = [["", *MEASURES, *(f"{title}, less {PAPERS}" for title in COMPARED)]]
    rows.append(["---"] * len(rows[0]))
    for name, of in measured.items():
        row = [spread(of[title], digits) for title, (digits, _) in MEASURES.items()]
        for title in COMPARED:  # one seed has the same images for all: compared pair by pair
            pairs = np.subtract(of[title], measured[PAPERS][title])
            row.append("" if name == PAPERS else spread(list(pairs), MEASURES[title][0]))
        rows.append([name, *row])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def figure(found):
    """2D error by stage and 3D error of each variant: means, and each seed as a dot."""
    drawn, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for i, (name, errors) in enumerate(found.items()):
        stages = np.array([e["error_2d_px_by_stage"] for e in errors])
        at = np.arange(1, stages.shape[1] + 1) + 0.06 * (i - len(found) / 2)
        (line,) = left.plot(at, stages.mean(axis=0), label=name, linewidth=1)
        left.plot(at, stages.T, ".", color=line.get_color(), markersize=4)
        poses = np.array([e["mpjpe_mm"] for e in errors])
        right.barh(i, poses.mean(), color=line.get_color(), alpha=0.4)
        right.plot(poses, np.full(len(poses), i), ".", color=line.get_color())
    left.set(xlabel="stage", ylabel="2D error, px", xticks=range(1, stages.shape[1] + 1))
    left.legend(fontsize=8)
    right.set(xlabel="3D error, mm, root-aligned", yticks=range(len(found)))
    right.set_yticklabels(list(found))
    right.invert_yaxis()
    return drawn


def digest(path):
    """SHA-256 of a file that make has to have made."""
    from python_layers import annotations

    if not path.is_file():
        raise StudyError(f"{shown(path)}: no such file; make study-network makes it")
    return annotations.digest(path)


@one_line_errors(
    StudyError, CaffeError, OSError, ValueError, interrupted="the same command goes on"
)
def main(arguments=None):
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tools.study_network", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    build = ROOT / "build"

    def path(flag, default, text):
        parser.add_argument(flag, type=lambda p: Path(p).resolve(), default=build / default,
                            help=f"{text} (default: build/{default})")  # fmt: skip

    path("--start", "train/lite-start/final.caffemodel", "pose machine that all go on from")
    path("--data", "data/train.json", "annotations to train on")
    path("--test-data", "data/test.json", "annotations to evaluate on")
    path("--prior", "prior.npz", "pose model")
    path("--prior-single", "prior-1.npz", "pose model of one component")
    path("--out", "study/network", "folder to write into")
    parser.add_argument("--iterations", type=int, default=800, help="of each (default: 800)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time, on one core "
                        "each (default: the cores)")  # fmt: skip
    given = parser.parse_args(arguments)
    if given.iterations < 1 or given.jobs < 1:
        raise StudyError("--iterations and --jobs: expected 1 or more")
    found = study(given)
    results = {"iterations": given.iterations, "seeds": given.seeds, "variants": values(found)}
    write(given.out / "results.json", json.dumps(results, indent=1) + "\n")
    write(given.out / "table.md", table(found))
    with replacing(given.out / "errors.png") as temporary:
        figure(found).savefig(temporary, format="png", dpi=110)
    print(table(found) + f"wrote {shown(given.out)}")


if __name__ == "__main__":
    sys.exit(main())
