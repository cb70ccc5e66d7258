"""What several tests share."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
ASSETS = TESTS / "assets"
"""Small real data; see its README."""
ROOT = TESTS.parent
