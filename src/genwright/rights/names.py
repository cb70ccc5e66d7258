"""Licences by the short names and addresses that files and packages give them, as SPDX ids."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DEBIAN = {
    "expat": "MIT",
    "public-domain": "public domain",
    "publicdomain": "public domain",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "psf-2": "PSF-2.0",
    "cc0": "CC0-1.0",
    "apache-2": "Apache-2.0",
}
_GNU = re.compile(r"(?:GNU[- ])?(A?L?GPL|GFDL)-?v?(\d(?:\.\d)?)(?:-only|(\+|-or-later|\s+or\s+later))?", re.IGNORECASE)
_CC = re.compile(r"CC-(BY(?:-(?:NC|ND|SA))*)-(\d\.\d)", re.IGNORECASE)
_ALTERNATIVES = re.compile(r",?\s+or\s+(?!later)", re.IGNORECASE)


def spdx(name: str) -> str:
    """The SPDX id of a licence that Debian calls by a short name (`GPL-2+`, `Expat`); the name itself where it has none here. Of
    "A or B" it is the same expression in SPDX's words."""
    name = " ".join(name.split())
    if _ALTERNATIVES.search(name):
        return " OR ".join(spdx(part) for part in _ALTERNATIVES.split(name))
    if known := _DEBIAN.get(name.lower()):
        return known
    if match := _GNU.fullmatch(name):
        version = match[2] if "." in match[2] else f"{match[2]}.0"
        return f"{match[1].upper()}-{version}-{'or-later' if match[3] else 'only'}"
    if match := _CC.fullmatch(name):
        return f"CC-{match[1].upper()}-{match[2]}"
    return name


def together(licences: Iterable[str | None]) -> str | None:
    """The licence of what is made of several files, as an expression of SPDX; None where that of one is not known."""
    found = list(licences)
    names = [one for one in found if one is not None]
    return " AND ".join(dict.fromkeys(names)) if names and len(names) == len(found) else None
