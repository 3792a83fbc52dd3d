"""Pages of blocks, as HTML and as Markdown; names with markup in them, on every page."""

import copy

import matplotlib.pyplot as plt
import pytest

from tests.annotated import entries, save
from tests.markup import MARKUP, assert_escaped
from tests.tools.report.records import RECORDS
from tools.bench import ablations
from tools.evaluate import truth
from tools.report import __main__ as report
from tools.report import compare, demo_page, page


def test_text_in_pages_is_escaped():
    html = page.as_html("<t>", [("text", "a < b"), ("table", ("h",), [("<i>",)])])
    assert "a &lt; b" in html and "&lt;i&gt;" in html and "<h1>&lt;t&gt;</h1>" in html
    assert "| a \\| b |" in page.as_markdown("t", [("table", ("h",), [("a | b",)])])


@pytest.mark.parametrize(
    "block",
    [
        ("heading", MARKUP),
        ("text", MARKUP),
        ("note", MARKUP),
        ("code", MARKUP),
        ("list", [MARKUP]),
        ("table", ("", MARKUP), [(MARKUP, 1.0)]),
        ("figure", "data:image/png;base64,", MARKUP),
    ],
    ids=lambda block: block[0],
)
def test_every_block_is_escaped(block):
    assert_escaped(page.as_html(MARKUP, [block]), times=3)  # the title is in two places


def test_numbers_stand_right_and_a_figure_is_inside():
    figure = plt.figure(figsize=(1, 1))
    rows = [("a", 1.25, "x"), ("b", 1000, None)]
    html = page.as_html("t", [("table", ("", "mm", "note"), rows), ("figure", figure, "dots")])
    assert '<tr><td>a</td><td class="number">1.2</td><td>x</td></tr>' in html
    assert '<tr><td>b</td><td class="number">1,000</td><td></td></tr>' in html
    assert '<img alt="dots" src="data:image/png;base64,iVBOR' in html
    assert not plt.fignum_exists(figure.number)


def test_markup_on_the_compare_page(document, model, tmp_path):
    """In the names of the actions, the method, and the files."""
    changed = copy.deepcopy(document)
    for image in changed["images"]:
        image["action"] = image["action"].replace("punch", MARKUP)
    data = save(tmp_path / f"{MARKUP} data.json", changed)
    frames = truth.load([data])
    path = save(tmp_path / f"{MARKUP}.npz", entries(frames, points=frames.points + 2))
    part = frames.take(frames.index.subject == "S11")
    few = save(tmp_path / "few.npz", entries(part, points=part.points))
    record = compare.summary([data], model, [(MARKUP, path), (f"{MARKUP} few", few)])
    assert {MARKUP, f"{MARKUP} few"} <= {result["method"] for result in record["results"]}
    assert record["withheld"]
    compare.write(tmp_path / "out", record)
    assert_escaped((tmp_path / "out/index.html").read_text(), times=20)
    assert not plt.get_fignums()  # the figures are made once, and closed


def test_markup_on_the_page_of_ablations(tmp_path):
    record = copy.deepcopy(RECORDS["ablations"])
    record |= {"data": MARKUP, "prior": MARKUP}
    record["rows"][0] |= {"group": MARKUP, "setting": MARKUP}
    ablations.write(tmp_path, record)
    assert_escaped((tmp_path / "ablations.html").read_text(), times=4)


def test_markup_in_the_demos_report():
    record = copy.deepcopy(RECORDS["demo"])
    record |= {"subjects": [MARKUP], "actions": [MARKUP]}
    record["steps"][0]["name"] = MARKUP
    for network in ("cpm", "lifting"):
        for key in ("error_2d_px_by_action", "mpjpe_mm_by_action"):
            record[network][key] = {MARKUP: 1.0}
    blocks = [*demo_page.results(record), *demo_page.details(record)]
    assert_escaped(page.as_html(report.TITLE, blocks), times=4)
