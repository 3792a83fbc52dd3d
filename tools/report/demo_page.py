"""What report.json says, as blocks for tools.report.page: texts and tables, without the figures."""

import json

from prior.skeleton import LANDMARKS
from tools.evaluate import protocols
from tools.report import page

NOT_HUMAN36M = (
    "This is not Human3.6M. The images are rendered, and the networks are a small fraction of the "
    "paper's size and trained for minutes. The paper's figures stand here to show what is "
    "measured, not to be compared with ours."
)


def markdown(report):
    """The content of report.json as text and tables."""
    return page.in_markdown([*results(report), *details(report)], "###")


def results(report):
    """What was tested, on what, and the errors of both networks."""
    return [
        ("note", NOT_HUMAN36M),
        (
            "text",
            f"{report['test_images']} test images of subjects {', '.join(report['subjects'])} "
            f"doing {', '.join(report['actions'])}. Neither the networks nor the prior saw these "
            "people or these motions in training. Both networks go on from one pose machine, with "
            "the same images, iterations, schedule and seed.",
        ),
        ("heading", "Results"),
        _errors(report),
        ("text", _explained(report)),
        (
            "text",
            "The same network, its lifting layers as they were trained, and weighing each landmark "
            "by the covariance of its belief, which it was not trained with (prototxt/README.md "
            "has networks that were, by make study-network):",
        ),
        _by_layers(report),
    ]


def details(report):
    """The errors by landmark and by action, and the time that each step took."""
    cpm, lifting = report["cpm"], report["lifting"]
    by_landmark, by_action, by_action_mm = (
        [errors[key] for errors in (cpm, lifting)]
        for key in ("error_2d_px_by_landmark", "error_2d_px_by_action", "mpjpe_mm_by_action")
    )
    return [
        ("heading", "By landmark and by action"),
        (
            "table",
            ("landmark", "CPM, px", "lifting, px"),
            [(name, *(errors[name] for errors in by_landmark)) for name in LANDMARKS],
        ),
        (
            "table",
            ("action", "CPM, px", "lifting, px", "CPM, mm", "lifting, mm"),
            [
                (action, *(errors[action] for errors in (*by_action, *by_action_mm)))
                for action in lifting["mpjpe_mm_by_action"]
            ],
        ),
        ("heading", "Time"),
        (
            "table",
            ("step", "seconds", "largest process, MB"),
            [(step["name"], step["seconds"], step["peak_memory_mb"]) for step in report["steps"]],
        ),
    ]


def _explained(report):
    """What to compare the errors with, and the weights that the fusion learned."""
    lifting = report["lifting"]
    share = lifting["mpjpe_mm"] / report["mean_pose_mpjpe_mm"]
    weights = ", ".join(f"{w:.2f}" for w in lifting["fusion_weight_by_stage"])
    return (
        f"Always answering the best single pose gives {report['mean_pose_mpjpe_mm']:.0f} mm; the "
        f"network reaches {100 * share:.0f} % of that. Lifting the true 2D landmarks gives "
        f"{report['true_2d_mpjpe_mm']:.0f} mm; what is above that is the detector's error. "
        "The left and the right landmark of a pair are "
        f"{lifting['side_distance_px']:.0f} px apart as predicted, "
        f"{lifting['true_side_distance_px']:.0f} px in truth. Where the first is much smaller, "
        "the network does not tell the sides apart, and a pose's turn about the vertical is lost. "
        f"The learned weights of the CNN's maps in the fusion, by stage: {weights}."
    )


def _by_layers(report):
    """The errors by how the lifting layers take the landmarks: a table."""
    ways = {"as trained": report["lifting"], "by belief covariance": report["weighed"]}
    header = ("lifting layers", "2D error, px", "3D error, mm", "3D error of the last layer, mm")
    keys = ("error_2d_px", "mpjpe_mm", "network_mpjpe_mm")
    return ("table", header, [(way, *(errors[k] for k in keys)) for way, errors in ways.items()])


def _errors(report):
    """Our errors, the paper's, and how they are measured: a table."""
    published = json.loads(protocols.PUBLISHED.read_text())
    pixels = {row["method"]: row["average"] for row in published["error_2d_px"]}
    paper = {
        "2D error": (
            f"{pixels['Trained CPM [44]']} px",
            f"{pixels['Tome et al., with 3D refinement']} px",
        ),
        "3D error": (None, f"{published['protocol_1_mm'][-1]['average']} mm"),
    }

    def row(name, unit, of, how):
        ours = (f"{of(report[network]):.1f} {unit}" for network in ("cpm", "lifting"))
        return (name, *ours, *paper.get(name, (None, None)), how)

    return (
        "table",
        ("", "CPM baseline", "lifting and fusion", "paper: CPM", "paper: theirs", "measured as"),
        [
            row(
                "2D error",
                "px",
                lambda errors: errors["error_2d_px"],
                "mean over landmarks, px of the image (ours 400 px wide, Human3.6M's 1000)",
            ),
            row(
                "PCKh@0.5",
                "%",
                lambda errors: 100 * errors["pckh"],
                "share of landmarks within half of the distance from neck to head top",
            ),
            row(
                "PCKh@0.2",
                "%",
                lambda errors: 100 * errors["pckh_0.2_by_stage"][-1],
                "within a fifth of it",
            ),
            row(
                "3D error",
                "mm",
                lambda errors: errors["mpjpe_mm"],
                "MPJPE: hips aligned, 17 landmarks, typical limb scale; of the baseline, its "
                "landmarks lifted afterwards; of the paper, its protocol 1",
            ),
            row(
                "3D error, Procrustes",
                "mm",
                lambda errors: errors["errors_3d_mm"]["procrustes"],
                "a similarity fitted to each pose, 17 landmarks",
            ),
        ],
    )
