"""Ours beside the paper's numbers: python -m tools.report.compare --out build/compare.

Evaluates the lifting of true 2D landmarks, and the predictions in files (of `python -m
tools.evaluate`, or any detector's landmarks, see tools.evaluate.predictions), under protocols 1, 2
and 3. Writes compare.json, compare.md and index.html. Where predictions do not fit the data their
numbers are withheld, the page says why, and the exit status is 1.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence

from tqdm import tqdm

import prior
from prior import files, program
from prior.skeleton import HUMAN36M
from tools.arguments import add_as_published, add_out_folder, add_predictions, add_prior, add_truth
from tools.evaluate import predictions, protocols, scoring, truth
from tools.evaluate.lifting import LandmarkLifter
from tools.evaluate.predictions import PredictionError
from tools.report import compare_page, page

TRUE_2D = "true 2D landmarks, lifted"


def methods(named):
    """The Methods of [(name, path)], after the true 2D landmarks; and Withheld for the files that
    cannot be used."""
    compared, withheld = [scoring.Method(TRUE_2D, None)], []
    for name, path in named:
        try:
            compared.append(scoring.Method(name, predictions.load(path)))
        except PredictionError as error:
            withheld.append(scoring.Withheld(name, "all", "all", str(error)))
    return compared, withheld


def summary(data, model_path, named, progress=iter, as_published=False):
    """All that compare.json holds. as_published: landmarks are lifted to the paper's letter."""
    frames = truth.load(data)
    compared, withheld = methods(named)
    results, more = scoring.score_all(
        compared, frames, LandmarkLifter(prior.load(model_path, HUMAN36M), as_published), progress
    )
    published = json.loads(protocols.PUBLISHED.read_text())
    return {
        "data": frames.source,
        "human36m": frames.human36m,
        "frames": len(frames),
        "prior": str(model_path),
        "lifted_as_published": as_published,
        "predictions": {name: str(path) for name, path in named},
        "results": [_with_published(r._asdict(), published, frames.human36m) for r in results],
        "withheld": [reason._asdict() for reason in [*withheld, *more]],
        "published": published,
    }


def _with_published(result, published, human36m):
    """The result with the paper's own number of the same protocol and the difference to it; both
    only on the paper's data."""
    if human36m and result["what"] != "PCKh@0.5":
        pixels = result["what"].startswith("2D")
        key = "error_2d_px" if pixels else f"protocol_{result['protocol']}_mm"
        row = published[key][-1]
        result |= {"paper": row["average"], "difference": result["mean"] - row["average"]}
        if "per_action" in row:
            paper = dict(zip(published["actions"], row["per_action"], strict=True))
            result["difference_by_action"] = {
                a: value - paper[a] for a, value in result["by_action"].items() if a in paper
            }
    return result


def finite(value):
    """The value with NaN, which JSON does not have, as None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(out, record):
    """compare.json, compare.md and index.html in the folder `out`."""
    record = finite(record)
    blocks = compare_page.blocks(record)
    files.write(out / "compare.json", json.dumps(record, indent=1) + "\n")
    files.write(out / "compare.md", page.as_markdown(compare_page.TITLE, blocks))
    files.write(out / "index.html", page.as_html(compare_page.TITLE, blocks))  # closes the figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tools.report.compare",
        description=__doc__,
        formatter_class=program.HelpFormatter,
    )
    add_truth(parser)
    add_prior(parser)
    add_predictions(parser, "landmarks or poses to compare")
    add_out_folder(parser, "build/compare")
    add_as_published(parser, "landmarks")
    return parser


def compare(options):
    """Score, write the three files, and print what was withheld; returns the exit status."""
    interval = 1 if sys.stderr.isatty() else 10
    results = summary(
        options.data,
        options.prior,
        options.predictions,
        lambda items: tqdm(items, "compare", unit="protocol", mininterval=interval),
        options.as_published,
    )
    write(options.out, results)
    print(f"{len(results['results'])} results; wrote {options.out / 'index.html'}")
    for reason in results["withheld"]:
        print(
            "withheld: {method}, protocol {protocol}, {what}: {reason}".format(**reason),
            file=sys.stderr,
        )
    return 1 if results["withheld"] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    return program.run(_parser(), compare, arguments)


if __name__ == "__main__":
    sys.exit(main())
