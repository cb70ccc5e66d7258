"""Makes the README's pictures from finished runs (recipes/draw-transformer.yaml first): python docs/make_images.py [--runs runs]

docs/images/samples.png   what the transformer drew, unpicked
docs/images/report.png    the top of its report, in Chromium
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from genwright.scores import ScoreSheet

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def samples(run: Path, out: Path, width: int = 1200) -> None:
    """The run's sheet of unpicked samples, enlarged by whole pixels."""
    sheet = ScoreSheet.read(run / "evaluate" / "scores.json")
    exhibit = next(e for e in sheet.exhibits if e.name == "samples")
    with Image.open(run / "evaluate" / exhibit.file) as image:
        times = max(1, width // image.width)
        large = image.convert("RGB").resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    large.save(out, optimize=True)


def photograph(shots: list[tuple[Path, Path, tuple[int, int], bool]]) -> None:
    """(page, picture, window, whether the whole page) in Chromium at double resolution, light mode."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("docs/make_images.py: no Chromium is installed; apt-get install chromium.")
    with sync_playwright() as tools:
        chromium = tools.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for page_file, out, (width, height), whole in shots:
            page = chromium.new_page(
                viewport={"width": width, "height": height}, device_scale_factor=1.5, color_scheme="light"
            )
            if page_file.suffix == ".svg":
                page.set_content(f'<body style="margin:0">{page_file.read_text(encoding="utf-8")}')
            else:
                page.goto(page_file.resolve().as_uri())
            page.wait_for_function("document.fonts.ready && [...document.images].every(i => i.complete)")
            page.screenshot(path=str(out), full_page=whole)
            page.close()
        chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder that holds the run")
    runs = parser.parse_args().runs
    IMAGES.mkdir(exist_ok=True)
    samples(runs / "draw-transformer", IMAGES / "samples.png")
    shots = [(runs / "draw-transformer" / "report.html", IMAGES / "report.png", (1200, 1500), False)]
    photograph(shots)


if __name__ == "__main__":
    main()
