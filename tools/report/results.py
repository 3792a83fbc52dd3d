"""RESULTS.md, written from the records in tools/report/records: python -m tools.report.results.

A record is the JSON file that a measuring command wrote. --take FILE.json ... checks records and
puts them into that folder, one for each command. RESULTS.md is made of these alone.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prior import program
from prior.errors import InputError
from prior.files import write
from tools import measured
from tools.bench import (
    ablations,
    cluster,
    evaluation,
    feed,
    lift,
    lift_accuracy,
    lift_ways,
    network,
    oracle,
    prior,
    ready_prior,
    study_network,
    study_prior,
    tracks,
)
from tools.report import demo_page, readers_page

RECORDS = Path(__file__).parent / "records"
PAGE = measured.ROOT / "RESULTS.md"

TITLE = "# Results"
INTRODUCTION = (
    "Written by `make results` from the records in `tools/report/records/`, not by hand. Each "
    "section says which command measured its figures, when, at which commit and on which machine. "
    'A commit that ends in "+" had changes that were not committed. What the words in the tables '
    "mean is in the README of the folder that the command is about, and in the command's `--help`."
)


@dataclass(frozen=True)
class Kind:
    """What one measuring command's records are called, and what makes their tables."""

    title: str
    command: str
    markdown: Callable[[dict[str, Any]], str]
    gpu: bool = False


# By the name of the record's file, in the order of the page.
KINDS = {
    "demo": Kind("The demo", "tools.report", demo_page.markdown),
    "ablations": Kind("Ablations of the lifting", "tools.bench.ablations", ablations.markdown),
    "ready-prior": Kind(
        "The ready prior, on people whom no training saw",
        "tools.bench.ready_prior",
        ready_prior.markdown,
    ),
    "oracle": Kind(
        "Where the error on people whom no training saw is from",
        "tools.bench.oracle",
        oracle.markdown,
    ),
    "lift-accuracy": Kind(
        "Accuracy of the lifting", "tools.bench.lift_accuracy", lift_accuracy.markdown
    ),
    "lift-ways": Kind(
        "The lens, the detector's doubt, and the paper's way",
        "tools.bench.lift_ways",
        lift_ways.markdown,
    ),
    "tracks": Kind("Frames lifted as one motion", "tools.bench.tracks", tracks.markdown),
    "lift": Kind("Speed of the lifting", "tools.bench.lift", lift.markdown),
    "readers": Kind(
        "From other programs' files to written poses", "tests.reader_speed", readers_page.markdown
    ),
    "prior": Kind("Time and memory of fitting the prior", "tools.bench.prior", prior.markdown),
    "cluster": Kind(
        "The fit of the prior on several machines", "tools.bench.cluster", cluster.markdown
    ),
    "study-prior": Kind(
        "What the steps of the alignment are worth",
        "tools.bench.study_prior",
        study_prior.markdown,
    ),
    "network": Kind("Times of the networks", "tools.bench.network", network.markdown),
    "network-gpu": Kind(
        "Times of the networks on a GPU", "tools.bench.network", network.markdown, gpu=True
    ),
    "feed": Kind("How fast training is fed", "tools.bench.feed", feed.markdown),
    "evaluation": Kind(
        "How fast a network is evaluated", "tools.bench.evaluation", evaluation.markdown
    ),
    "study-network": Kind(
        "What each choice of the network is worth",
        "tools.bench.study_network",
        study_network.markdown,
    ),
}


def kind_of(record: dict[str, Any], source: object) -> str:
    """The name in KINDS of a record's kind, by the command that it was measured with.

    Raises InputError, which names the `source`, unless its markdown can be made.
    """
    stamp = record.get("measured") if isinstance(record, dict) else None
    if not isinstance(stamp, dict) or not {"command", "date", "commit", "machine"} <= stamp.keys():
        raise InputError(
            f'{source}: expected the JSON of a measuring command, with "measured"; measure it again'
        )
    words = shlex.split(stamp["command"])
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else stamp["command"]
    names = {(kind.command, kind.gpu): name for name, kind in KINDS.items()}
    on_gpu = record.get("gpu") is not None
    name = names.get((module, on_gpu))
    if name is None:
        expected = ", ".join(command + " on a GPU" * gpu for command, gpu in names)
        raise InputError(
            f"{source}: expected a record of {expected}; got {module}{' on a GPU' * on_gpu}"
        )
    try:
        KINDS[name].markdown(record)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"{source}: not as {module} writes it now ({type(error).__name__}: {error}); "
            "measure it again"
        ) from None
    return name


def take(path: Path, records: Path = RECORDS) -> Path:
    """Put a record into the folder of records, without this machine's folders; its new path."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON: {error}") from None
    name = kind_of(record, path)
    kept = records / f"{name}.json"
    write(kept, json.dumps(_portable(record), indent=1) + "\n")
    return kept


def _portable(value: Any) -> Any:
    """The value with every absolute path as `measured.portable` writes it."""
    if isinstance(value, dict):
        return {key: _portable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_portable(item) for item in value]
    return measured.portable(value) if isinstance(value, str) and value.startswith("/") else value


def results(records: Path = RECORDS) -> str:
    """The text of RESULTS.md: a section for each record that is there."""
    sections = [TITLE, INTRODUCTION]
    for name, kind in KINDS.items():
        path = records / f"{name}.json"
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            stamp = record["measured"]
            where = f"{stamp['machine']}, {stamp['cores']} cores"
            commit = f"commit {stamp['commit']}" if stamp["commit"] else "no commit"
            sections += [
                f"## {kind.title}",
                f"`{stamp['command']}`, {stamp['date']}, {commit}, on {where}",
                kind.markdown(record),
            ]
    return "\n\n".join(sections) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.report.results", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--take",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE.json",
        help="records to put into the folder first, each in place of the one of its kind",
    )
    return parser


def update(options: argparse.Namespace) -> None:
    """Take records, and write RESULTS.md."""
    for path in options.take:
        print(f"took {path} as {take(path).relative_to(measured.ROOT)}")
    write(PAGE, results())
    print(f"wrote {PAGE.relative_to(measured.ROOT)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), update, arguments)


if __name__ == "__main__":
    sys.exit(main())
