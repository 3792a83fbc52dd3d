"""The page in a real browser, headless Chromium: it loads without errors, turns, steps, plays."""

import json
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import landmark_files as files
from tests.browser import CHROMIUM, Browser
from tests.markup import MARKUP, assert_escaped
from tools.lift import __main__ as tool
from tools.lift import lifted, viewer

pytestmark = pytest.mark.slow

# What to look at afterwards.
PICTURES = Path("build/screenshots")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two people in 40 frames, the second only in the last ones, with photos; its folder."""
    folder = tmp_path_factory.mktemp("page")
    points = files.image_points(files.walk(40, seed=4))
    other = files.image_points(files.walk(40, seed=9))[20:] + [250, 10]
    source = files.arrays(
        folder / "a.npz",
        np.concatenate([points, other]),
        frame=[*range(40), *range(20, 40)],
        person=[0] * 40 + [1] * 20,
        rate=20.0,
    )
    photos = folder / "photos"
    photos.mkdir()
    for i in range(3):
        image = np.full((480, 640, 3), 200, np.uint8)
        cv2.circle(image, (320 + 60 * i, 60), 30, (60, 160, 60), -1)
        cv2.imwrite(str(photos / f"{i}.jpg"), image)
    assert (
        tool.main(
            [
                str(a)
                for a in (
                    source,
                    "--out",
                    folder / "page.html",
                    folder / "out.npz",
                    "--elevation",
                    10,
                    "--images",
                    photos,
                )
            ]
        )
        == 0
    )
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def desktop(browser, page):
    browser.errors.clear()
    browser.open((page / "page.html").as_uri(), 1200, 1000)
    browser.frame()
    return browser


def pixels(browser, canvas="space"):
    browser.frame()
    return browser.value(f"document.getElementById('{canvas}').toDataURL()")


def text(browser, element):
    return browser.value(f"document.getElementById('{element}').textContent")


def click(browser, selector):
    browser.value(f"document.querySelector('{selector}').click()")


def drag(browser, start, end):
    browser.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", *end, button="left", buttons=1)
    browser.mouse("mouseReleased", *end, button="left", clickCount=1)


def test_it_shows_who_how_sure_and_which_component(desktop):
    desktop.screenshot(PICTURES / "viewer-desktop.png")
    rows = desktop.value(
        "[...document.querySelectorAll('#people tr')].map("
        "row => [...row.cells].map(cell => cell.textContent))"
    )
    assert rows[0] == ["person", "plausible", "component", "probability", "uncertainty"]
    assert rows[1][:2] == ["0", "yes"]
    assert rows[1][2].endswith("of 3") and rows[1][4].endswith(" mm")
    assert desktop.value("document.querySelectorAll('#landmarks tr').length") == 18
    assert "page: frame 0" in text(desktop, "title")
    assert desktop.errors == []


def test_it_is_turned_and_zoomed(desktop):
    shots = [pixels(desktop)]
    assert pixels(desktop) == shots[0]

    def changed():
        shots.append(pixels(desktop))
        return shots[-1] != shots[-2]

    yaw = desktop.value("camera.yaw")
    drag(desktop, (200, 300), (260, 330))
    assert changed() and desktop.value("camera.yaw") == pytest.approx(yaw + 0.6)
    desktop.mouse("mouseMoved", 300, 300)
    assert not changed()
    desktop.mouse("mouseWheel", 300, 300, deltaX=0, deltaY=-240)
    assert changed() and desktop.value("camera.zoom") > 1
    for key in ("ArrowLeft", "ArrowUp", "s", "t", "c", "-"):
        desktop.key(key)
        assert changed(), key
    click(desktop, "#halo")
    assert changed()
    assert desktop.errors == []


def test_half_a_turn_shows_the_other_side(desktop):
    # As the camera sees it, the person's left arm is on the same side as in the image.
    click(desktop, "[data-view=camera]")
    across = (
        "(() => { const to = projector(space), p = frames[now].people[0];"
        "return [to(p.pose[11])[0] - to(p.pose[14])[0], p.points[11][0] - p.points[14][0]]"
        "})()"
    )
    front, image = desktop.value(across)
    assert front * image > 0
    desktop.value("turn(Math.PI, 0)")
    back, _ = desktop.value(across)
    assert back == pytest.approx(-front, rel=0.3)


def test_it_steps_and_plays(desktop):
    before = pixels(desktop), pixels(desktop, "photo")
    click(desktop, "#next")
    assert text(desktop, "frame") == "2 / 40"
    assert pixels(desktop) != before[0] and pixels(desktop, "photo") != before[1]
    desktop.key(".", ".")
    desktop.key(",", ",")
    click(desktop, "#back")
    assert text(desktop, "frame") == "1 / 40"
    desktop.key(" ", " ")
    # 20 frames a second.
    desktop.wait("now >= 10")
    assert text(desktop, "play") == "pause"
    desktop.key(" ", " ")
    still = desktop.value("now")
    time.sleep(0.2)
    assert desktop.value("now") == still and text(desktop, "play") == "play"
    assert text(desktop, "frame") == f"{still + 1} / 40"
    assert desktop.errors == []


def test_it_is_readable_on_a_phone(browser, page):
    browser.errors.clear()
    browser.open((page / "page.html").as_uri(), 390, 844, mobile=True)
    before = pixels(browser)
    browser.screenshot(PICTURES / "viewer-phone.png")
    assert browser.value("document.documentElement.scrollWidth") == 390
    cut = (
        "[...document.querySelectorAll('.wide')].filter(b => b.scrollWidth > b.clientWidth).length"
    )
    assert browser.value(cut) == 0
    narrow = "[...document.querySelectorAll('button')].filter(b => b.offsetHeight < 36).length"
    assert browser.value(narrow) == 0
    # One finger turns, two zoom.
    browser.touch("touchStart", (150, 250))
    browser.touch("touchMove", (220, 250))
    browser.touch("touchEnd")
    assert pixels(browser) != before and browser.value("camera.zoom") == 1
    browser.touch("touchStart", (150, 250), (200, 250))
    browser.touch("touchMove", (120, 250), (240, 250))
    browser.touch("touchEnd")
    assert browser.value("camera.zoom") > 1.5
    picture = cv2.imread(str(PICTURES / "viewer-phone.png"))
    blue = np.abs(picture.astype(int) - [0xB0, 0x72, 0x4C]).max(axis=2) < 12
    assert blue.sum() > 200 and picture.shape[1] == 780
    assert browser.errors == []


def test_a_page_that_fails_is_noticed(browser, page):
    # The test above can fail: an error, and a request to the network, which the page refuses.
    broken = page / "broken.html"
    script = "<script>fetch('http://localhost:9/'); nothing.here</script></body>"
    broken.write_text((page / "page.html").read_text().replace("</body>", script))
    browser.errors.clear()
    browser.open(broken.as_uri(), 800, 600)
    browser.frame()
    assert any("Content Security Policy" in str(error) for error in browser.errors)
    assert any("nothing" in str(error) for error in browser.errors)


def test_the_page_needs_nothing_else(page):
    text = (page / "page.html").read_text()
    assert "http:" not in text and "https:" not in text and "src=" not in text
    assert "default-src 'none'" in text
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    data = json.loads(data[1])
    poses = lifted.read(page / "out.npz")
    np.testing.assert_allclose(
        data["frames"][30]["people"][1]["pose"],
        lifted.on_ground(poses)[(poses.frame == 30)][1],
        atol=0.06,
    )
    photos = [i for i, frame in enumerate(data["frames"]) if "photo" in frame]
    assert photos == [0, 1, 2]
    assert data["frames"][0]["photo"]["width"] == 640


def test_names_cannot_end_the_script(page):
    poses = lifted.read(page / "out.npz")
    name = "<!--<script>alert(1)"
    poses.meta["frames"][0] = name
    viewer.write(page / "odd.html", poses)
    text = (page / "odd.html").read_text()
    assert "<script>alert" not in text and "alert(1)" in text


def test_names_are_text(browser, page):
    poses = lifted.read(page / "out.npz")
    poses.meta["frames"][0] = MARKUP
    odd = page / f"{MARKUP} page.html"
    viewer.write(odd, poses)
    assert_escaped(odd.read_text())
    browser.errors.clear()
    browser.open(odd.as_uri(), 800, 600)
    browser.frame()
    assert text(browser, "title") == f"{MARKUP} page: frame {MARKUP}"
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.errors == []
