"""Debian's machine-readable `copyright` says file by file whose a package is."""

from __future__ import annotations

import pytest

from genwright.rights.debian import Copyright
from genwright.rights.duties import duties
from genwright.rights.licence import Rights, read_notice
from genwright.rights.names import spdx, together

# Shortened from mate-backgrounds and lomiri-wallpapers, whose folders are not those that are installed.
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: wallpapers

Files: abstract/Silk.png
       abstract/Waves.png
Copyright: 2008, Patryk Zawadzki <patrys@pld-linux.org>
License: GPL-2+
Comment: These pictures are in the public domain elsewhere.

Files: desktop/Ubuntu-*-no-logo.png
Copyright: 2014 Goce Mitevski
License: CC-BY-SA-4.0

Files: 16.04/Bridge.jpg
Copyright: 2018. Sander Klootwijk
License: CC-BY-4.0

Files: debian/* po/*.po
Copyright: 2018, Dalton Durst
License: Expat

License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy
 .
 of this software.
"""
NOTICE = "usr/share/doc/wallpapers/copyright"


@pytest.mark.parametrize(
    ("path", "licence"),
    [
        ("usr/share/backgrounds/mate/abstract/Silk.png", "GPL-2.0-or-later"),
        ("usr/share/backgrounds/mate/desktop/Ubuntu-Warm-no-logo.png", "CC-BY-SA-4.0"),
        ("usr/share/backgrounds/Bridge.jpg", "CC-BY-4.0"),
        ("usr/share/backgrounds/debian/x.png", "MIT"),
        ("usr/share/backgrounds/Other.png", "see copyright"),
    ],
)
def test_each_file_has_its_own(path: str, licence: str) -> None:
    notice = read_notice(NOTICE, COPYRIGHT)
    assert notice is not None
    assert Rights({NOTICE: notice}).of(path) == (licence, NOTICE)
    assert Rights({NOTICE: notice}, "CC0-1.0").of(path) == ("CC0-1.0", "recipe")


def test_the_last_of_the_nearest_patterns_counts() -> None:
    stanzas = (("*", "GPL-2"), ("a/x.png", "Expat"), ("b/x.png", "CC0-1.0"), ("b/*", "Apache-2.0"))
    text = "Format: https://x/copyright-format/1.0/\n\n" + "\n\n".join(
        f"Files: {f}\nLicense: {name}" for f, name in stanzas
    )
    found = Copyright(text)
    assert found.of("usr/share/a/x.png") == "MIT"
    assert found.of("usr/share/b/x.png") == "CC0-1.0"
    assert found.of("usr/share/c/x.png") == "CC0-1.0"
    assert found.of("usr/share/b/y.png") == "Apache-2.0"
    assert found.of("usr/share/c/y.png") == "GPL-2.0-only"


def test_a_copyright_that_is_prose_speaks_of_the_whole_package() -> None:
    prose = read_notice(
        "usr/share/doc/clipart/copyright",
        "It was downloaded from x.\n\nCopyright:\n\n Creative Commons Public Domain Dedication",
    )
    assert prose is not None
    assert Rights({prose.path: prose}).of("usr/share/clipart/a/b.svg")[0] == "public domain"


@pytest.mark.parametrize("name", ["copyright_sign.svg", "licence_plate.webp", "copying_machine.ogg"])
def test_a_drawing_is_no_notice(name: str) -> None:
    assert read_notice(name, "<svg>copyright licence permission</svg>") is None


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-3+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GPL-2 or Artistic", "GPL-2.0-only OR Artistic"),
        ("public-domain", "public domain"),
        ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
        ("Homemade", "Homemade"),
    ],
)
def test_debians_names(name: str, licence: str) -> None:
    assert spdx(name) == licence


def test_what_is_made_of_several_asks_what_each_asks() -> None:
    both = together(["Apache-2.0", "CC-BY-NC-4.0", "Apache-2.0"])
    assert both == "Apache-2.0 AND CC-BY-NC-4.0"
    asked = duties(both)
    assert asked is not None and asked.attribution and asked.no_commerce and not asked.share_alike
    assert together(["MIT", None]) is None
    assert duties("MIT AND Homemade") is None
    assert duties("Homemade OR GPL-2.0-only") == duties("GPL-2.0-only")
