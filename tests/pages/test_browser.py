"""The pages in a real browser: offline, without errors, on a phone, in the dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from genwright import recipe
from genwright.compare.view import compare
from genwright.run import Run
from genwright.scores import ScoreSheet
from genwright.stages.report import stage as report
from helpers.example_run import HOSTILE, draw_run

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)  # fmt: skip
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (apt-get install chromium)")

CONTRAST = """() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest("script,style,title,nav")) continue;
    const style = getComputedStyle(e), ink = parse(e.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(`${e.tagName} ${e.textContent.slice(0, 30)} ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return poor;
}"""
"""Every visible text against the ground behind it, by the formula of WCAG 2.1."""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(drawn: Run, written: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    half = draw_run(folder / "half", until="train")
    begun = draw_run(folder / "begun", until="collect")
    other = draw_run(folder / "emoji-vae", "vae", kid=0.05)
    made = {run.name: report.run(recipe.load(run.folder / "recipe.yaml"), run) for run in (drawn, written, half, begun)}
    comparison = compare([drawn.folder, other.folder], folder / "compare")
    return {**made, "compare": Path(comparison.page)}


def open_page(browser, file: Path, width: int, scheme: str):
    """The page, and what went wrong while it opened: console messages, errors, requests to anywhere."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"console {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error {error}"))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda sent: None if sent.url.startswith("data:") or sent.url == file.as_uri() else trouble.append(sent.url))  # fmt: skip
    page.goto(file.as_uri())
    return page, trouble


@pytest.mark.parametrize("name", ["emoji", "sonnets", "half", "begun", "compare"])
def test_opens_offline_fits_and_can_be_read(browser, pages: dict[str, Path], name: str):
    page, trouble = open_page(browser, pages[name], 360, "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for details in page.query_selector_all("details:not([open])"):
        details.evaluate("e => { e.open = true }")
    for width, scheme in ((360, "light"), (1280, "dark"), (1280, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CONTRAST) == [], scheme
    assert trouble == []
    page.close()


def test_dark_is_dark(browser, pages: dict[str, Path]):
    colours = {}
    for scheme in ("light", "dark"):
        page, _ = open_page(browser, pages["emoji"], 1280, scheme)
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.close()
    assert colours == {"light": "rgb(251, 250, 247)", "dark": "rgb(21, 20, 18)"}


def test_every_picture_is_shown(browser, pages: dict[str, Path]):
    page, _ = open_page(browser, pages["emoji"], 1280, "light")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    widths = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(widths) == 8 + 3 and min(widths) > 100
    page.close()


def test_the_slider_shows_the_preview_of_its_step_and_points_at_it(browser, pages: dict[str, Path]):
    page, trouble = open_page(browser, pages["emoji"], 1280, "light")
    assert page.inner_text(".scrub output") == "step 1,800"
    page.fill(".scrub input", "2")
    assert page.inner_text(".scrub output") == "step 675"
    assert page.evaluate("document.querySelector('.scrub .on').dataset.x") == "675"
    first, last, left, right, *_ = (float(v) for v in page.get_attribute(".wide svg[data-x]", "data-x").split())
    place = float(page.get_attribute(".wide svg .cursor", "x1"))
    assert place == pytest.approx(left + (675 - first) / (last - first) * (right - left), abs=0.01)
    assert trouble == []
    page.close()


def test_pictures_are_large_and_grow_by_click_and_by_key(browser, drawn: Run, tmp_path: Path):
    run = Run(Path(shutil.copytree(drawn.folder, tmp_path / "run")))
    file = run.stage("evaluate") / "scores.json"
    scores = ScoreSheet.read(file)
    scores.exhibits[0].words, scores.exhibits[0].across = [f"word {i}" for i in range(48)], 8
    scores.write(file)
    page, trouble = open_page(browser, report.run(recipe.load(run.recipe), run), 1280, "light")
    for width, least in ((1280, 128), (400, 90)):
        page.set_viewport_size({"width": width, "height": 900})
        sides = page.evaluate("[...document.querySelectorAll('.tiles img')].map(i => i.getBoundingClientRect().width)")
        assert len(sides) == 14 + 48 and min(sides) >= least
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('.hero .tiles').getBoundingClientRect().top < innerHeight")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.click(".hero .tiles .zoom")
    small, large = (page.evaluate(f"document.querySelector('{one}').clientWidth") for one in (".tiles img", "dialog img"))  # fmt: skip
    assert large >= 3 * small and page.inner_text("dialog span") == "word 0"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("dialog span") == "word 3"
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('dialog').open") is False
    assert page.evaluate("document.activeElement.ariaLabel") == "Enlarge: Samples, 4", "where the reader was"
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('dialog').open")
    assert page.evaluate(CONTRAST) == [] and trouble == []
    page.close()


def test_a_wide_sheet_grows_too(browser, pages: dict[str, Path]):
    page, _ = open_page(browser, pages["compare"], 1280, "light")
    page.click(".zoom")
    before, after = (page.evaluate(f"document.querySelector('{one}').clientWidth") for one in (".zoom img", "dialog img"))  # fmt: skip
    assert after > before
    page.close()


def test_a_hostile_name_is_shown_and_not_obeyed(browser, pages: dict[str, Path]):
    page, trouble = open_page(browser, pages["emoji"], 1280, "light")
    for details in page.query_selector_all("#data details"):
        details.evaluate("e => { e.open = true }")
    assert HOSTILE in page.inner_text("#data")
    assert page.query_selector("img[src=x]") is None
    assert trouble == []
    page.close()
