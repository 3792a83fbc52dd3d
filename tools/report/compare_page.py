"""The page of `tools.report.compare`: blocks of text, tables and bar charts, from its summary."""

import matplotlib.pyplot as plt
import numpy as np

from prior.show import COLOURS
from tools.evaluate import protocols
from tools.labels import plain

TITLE = "Lifting from the Deep: beside the paper's numbers"

NOT_HUMAN36M = (
    "This is not Human3.6M. The people, motions, cameras and images differ from the paper's, so "
    "no number of ours may be set against one of the paper's: the tables stand apart, and no "
    "difference is taken. What can be compared is methods, alignments, actions, landmarks and "
    "cameras within our own tables."
)
PROTOCOL_TEXT = {
    "1": "mean distance over 17 landmarks. The paper does not say what is aligned, nor which "
    "scale; its authors' stored predictions agree with the mean landmark aligned and the "
    "subject's limb scale known, later papers align the root (hip)",
    "2": "mean distance over 14 landmarks (without hip, spine and nose) after a similarity "
    "fitted to each pose and those 14 (Procrustes, no reflection)",
    "3": 'as protocol 2, on the frontal camera, here 60457274 (the paper\'s "cam 3", counted '
    "from 0, as the code of later papers does), and the first trial",
}
ALIGNED = {
    "root": "hip",
    "mean": "mean landmark",
    "procrustes": "similarity (Procrustes)",
    "nothing": "nothing",
}
OURS = (
    "method",
    "aligned",
    "scale",
    "landmarks",
    "frames",
    "mean over frames",
    "mean of actions' means",
)


def blocks(record):
    """What page.as_html and page.as_markdown take."""
    human36m = record["human36m"]
    parts = [] if human36m else [("note", NOT_HUMAN36M)]
    parts += _what(record)
    if record["withheld"]:
        parts += [
            ("heading", "Withheld"),
            ("text", "These numbers would be wrong, so there are none:"),
            (
                "list",
                [
                    "{method}, protocol {protocol}, {what}: {reason}".format(**reason)
                    for reason in record["withheld"]
                ],
            ),
        ]
    for protocol in protocols.PROTOCOLS:
        parts += _protocol(record, protocol)
    parts += _table_2d(record)
    parts += _charts(record)
    parts += _parts(record)
    return parts


def _what(record):
    text = (
        f"Data: {record['data']}, {record['frames']} frames. 3D model: {record['prior']}. Errors "
        "are mean distances, in mm or px of the original images. Every number says what was "
        'aligned with the truth first, and which scale the poses have: "typical" is the model\'s, '
        'which uses nothing of the truth; "known" is the truth\'s limb scale; "fitted" is what '
        "Procrustes finds."
    )
    lines = [
        "true 2D landmarks, lifted: the landmarks of the truth, no detector. What is left is the "
        "error of the lifting"
    ]
    lines += [f"{name}: {path}" for name, path in record["predictions"].items()]
    return [("text", text), ("list", lines)]


def _results(record, protocol, what):
    return [r for r in record["results"] if r["protocol"] == protocol and r["what"] == what]


def _row(result):
    return (
        result["method"],
        ALIGNED[result["aligned"]],
        result["scale"],
        result["landmarks"],
        result["frames"],
        result["mean"],
        result["mean_of_actions"],
    )


def _protocol(record, protocol):
    """A protocol's tables: the paper's rows and ours in one on its own data, else apart."""
    results = _results(record, protocol.name, "3D error, mm")
    rows = record["published"][protocol.published]
    actions = record["published"]["actions"] if "per_action" in rows[0] else []
    selection = protocols.describe(protocol, video=record["human36m"])
    parts = [
        ("heading", f"Protocol {protocol.name}: 3D error, mm"),
        ("text", f"{selection[0].upper()}{selection[1:]}; {PROTOCOL_TEXT[protocol.name]}."),
    ]
    paper = [
        (
            row["method"],
            *map(_published, row.get("per_action", [])),
            _published(row["average"], 2 if actions else 1),
        )
        for row in rows
    ]
    if record["human36m"]:
        for result in results:
            paper += _beside(result, actions, rows[-1]["method"])
        parts += _halves(actions, paper)
    if results:
        if not record["human36m"]:
            parts.append(("text", f"Ours, on this data ({selection}):"))
        parts.append(("table", OURS, list(map(_row, results))))
    if results and not record["human36m"] and actions:
        own = list(results[0]["by_action"])
        parts.append(
            (
                "table",
                ("method", "aligned", "scale", *own),
                [(*_row(r)[:3], *(r["by_action"][a] for a in own)) for r in results],
            )
        )
    table = "table 1" if actions else "table 2"
    if not record["human36m"]:
        parts.append(("text", f"The paper's {table}, on Human3.6M, not on this data:"))
        parts += _halves(actions, paper)
    return [
        *parts,
        (
            "text",
            f"The paper's rows: {record['published']['source']}, here {table}; all "
            "but its own are its authors' reports of other work.",
        ),
    ]


def _published(number, digits=2):
    """A number of the paper as printed there."""
    return None if number is None else f"{number:.{digits}f}"


def _halves(actions, rows):
    """The rows (method, numbers by action, average) in two tables, as the paper prints them."""
    half = (len(actions) + 1) // 2
    first = [("table", ("method", *actions[:half]), [row[: 1 + half] for row in rows])]
    rest = [(row[0], *row[1 + half :]) for row in rows]
    return (first if actions else []) + [("table", ("method", *actions[half:], "average"), rest)]


def _beside(result, actions, whose):
    """Rows of ours for a table of the paper, on its data: the numbers, and the differences."""
    name = (
        f"ours: {result['method']} ({ALIGNED[result['aligned']]} aligned, {result['scale']} scale)"
    )
    yield (name, *(result["by_action"].get(a) for a in actions), result["mean"])
    gap = result.get("difference_by_action", {})
    yield (f"difference to {whose}", *(gap.get(a) for a in actions), result["difference"])


def _table_2d(record):
    results = _results(record, "1", "2D error, px")
    head, rows = ("method", "2D error, px"), record["published"]["error_2d_px"]
    paper = [(row["method"], _published(row["average"])) for row in rows]
    parts = [("heading", "2D error, px of the original image")]
    parts.append(
        (
            "text",
            "Protocol 1's frames, mean over the 17 landmarks that the truth has. "
            "Human3.6M's images are 1000 px wide. The paper's text gives its gain over the "
            "CPM as 0.59 px; its table, here, has 0.57.",
        )
    )
    pckh = {r["method"]: r["mean"] for r in _results(record, "1", "PCKh@0.5")}
    own = ("method", "frames", "2D error, px", "PCKh@0.5, % (head: neck to head top)")
    ours = [(r["method"], r["frames"], r["mean"], 100 * pckh[r["method"]]) for r in results]
    if record["human36m"]:
        for result in results:
            paper += [
                (f"ours: {result['method']}", result["mean"]),
                (f"difference to {rows[-1]['method']}", result["difference"]),
            ]
        parts.append(("table", head, paper))
        return parts + ([("table", own, ours)] if ours else [])
    parts += (
        [("text", "Ours, on this data:"), ("table", own, ours)]
        if ours
        else [("text", "Ours: none, since no predictions with 2D landmarks were named.")]
    )
    return [
        *parts,
        ("text", "The paper's table 2, on Human3.6M, not on this data:"),
        ("table", head, paper),
    ]


def _charts(record):
    """Bars by action: all methods, by the first alignment of each protocol. The paper's numbers
    stand among them only on its own data."""
    parts = [("heading", "By action")]
    methods = ["paper", *dict.fromkeys(r["method"] for r in record["results"])]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(methods)}
    for protocol in protocols.PROTOCOLS:
        results = _results(record, protocol.name, "3D error, mm")
        first = protocol.alignments[0]
        results = [r for r in results if (r["aligned"], r["scale"]) == first]
        series = {r["method"]: r["by_action"] for r in results}
        row = record["published"][protocol.published][-1]
        if record["human36m"] and "per_action" in row:
            paper = dict(zip(record["published"]["actions"], row["per_action"], strict=True))
            series = {"paper": paper} | series
        if results:
            text = (
                f"Protocol {protocol.name}, 3D error, mm: {ALIGNED[first.to]} aligned, "
                f"{first.scale} scale, {len(protocol.landmarks)} landmarks"
            )
            parts.append(("figure", bars(series, text, colours), text))
    pixels = {r["method"]: r["by_action"] for r in _results(record, "1", "2D error, px")}
    if pixels:
        text = "2D error, px of the original image"
        parts.append(("figure", bars(pixels, text, colours), text))
    return parts


def bars(series, title, colours):
    """A bar chart of {method: {action: number}}."""
    actions = list(dict.fromkeys(action for values in series.values() for action in values))
    figure, axes = plt.subplots(
        figsize=(max(7, 0.75 * len(actions) + 3), 3.6), layout="constrained"
    )
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        heights = [np.nan if values.get(a) is None else values[a] for a in actions]
        place = np.arange(len(actions)) + (i - (len(series) - 1) / 2) * width
        axes.bar(place, heights, width, label=plain(name), color=colours[name])
    rotation = 0 if len(actions) <= 8 else 40
    axes.set_xticks(
        range(len(actions)),
        list(map(plain, actions)),
        rotation=rotation,
        ha="center" if not rotation else "right",
    )
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=min(3, len(series)), fontsize=8)
    return figure


def _parts(record):
    """Protocol 1 by camera, landmark and stage."""
    parts = []
    results = [
        r
        for r in _results(record, "1", "3D error, mm")
        if (r["aligned"], r["scale"]) == ("root", "typical")
    ]
    results += _results(record, "1", "2D error, px")
    for title, key in (
        ("By camera", "by_camera"),
        ("By subject", "by_subject"),
        ("By landmark", "by_landmark"),
    ):
        if results:
            names = list(results[0][key])
            head = (title.split()[1], *(f"{r['method']}, {r['what'][-2:]}" for r in results))
            rows = [(name, *(r[key].get(name) for r in results)) for name in names]
            parts += [
                ("heading", title),
                ("text", "Protocol 1; mm: 3D error, hip aligned, typical scale; px: 2D error."),
                ("table", head, rows),
            ]
    staged = [r for r in results if r["by_stage"]]
    if staged:
        count = max(len(r["by_stage"]) for r in staged)
        head = ("method", "", *(f"stage {t + 1}" for t in range(count)))
        rows = [
            (r["method"], r["what"], *r["by_stage"], *[None] * (count - len(r["by_stage"])))
            for r in staged
        ]
        parts += [
            ("heading", "By stage"),
            (
                "text",
                "A network with one 3D error more than 2D errors lifts once more after "
                "its last stage: the last is the final lifting.",
            ),
            ("table", head, rows),
        ]
    return parts
