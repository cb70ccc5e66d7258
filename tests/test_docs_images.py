"""The pictures of the documentation that are made by code alone are those that the code makes."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ET

from helpers import ROOT

DOCS = ROOT / "docs"


def test_the_architecture_is_as_its_script_draws_it():
    drawn = runpy.run_path(str(DOCS / "make_architecture.py"))["draw"]()
    assert (DOCS / "images" / "architecture.svg").read_text(encoding="utf-8") == drawn, "run docs/make_architecture.py"
    ET.fromstring(drawn)
