"""Pages that are made from the code are up to date, and links inside the documentation lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _pages() -> dict:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", ["recipe.md", "cli.md", "adding.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == _pages()[name](), "run `make docs`"


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")), "benchmarks/README.md"],
)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    targets = re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (file.parent / t).exists()]
    assert not missing


def test_every_recipe_that_we_ship_is_valid() -> None:
    from genwright import recipe

    files = sorted((ROOT / "recipes").glob("*.yaml"))
    assert {"demo-write.yaml", "demo-draw.yaml"} <= {f.name for f in files}
    for file in files:
        assert recipe.load(file).data.sources
