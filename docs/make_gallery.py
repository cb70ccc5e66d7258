"""Write docs/gallery/<run>.md from a finished run of any task: its scores, and what it makes, unpicked.

python docs/make_gallery.py runs/write-poems
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gallery_chat
import gallery_complete
import gallery_pictures
import gallery_write

from genwright.recipe import load

PAGES = {"write": gallery_write.page, "chat": gallery_chat.page, "complete": gallery_complete.page} | dict.fromkeys(
    ("draw", "repair", "restyle"), gallery_pictures.page
)
FOLDER = Path(__file__).parent / "gallery"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder, evaluated")
    run = parser.parse_args().run
    task = load(run / "recipe.yaml").task
    if task not in PAGES:
        parser.error(f"{run}: a run of the task {task}; pages are written of {', '.join(PAGES)}")
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{run.name}.md"
    file.write_text(PAGES[task](run), encoding="utf-8")
    print(file)


if __name__ == "__main__":
    main()
