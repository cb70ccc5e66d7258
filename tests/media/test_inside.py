"""What pictures say of themselves: titles, authors, keywords and licences, in SVG and in XMP."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from genwright.ledger import Item
from genwright.media.base import Probed
from genwright.media.image import IMAGE, said_inside
from genwright.run import Run
from helpers.collect_task import collected

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def clipart(title: str, licence: str, keywords: tuple[str, ...] = (), colour: str = "red") -> bytes:
    """A drawing with metadata as Open Clip Art's are."""
    subject = "".join(f"<rdf:li>{word}</rdf:li>" for word in keywords)
    return f"""<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><rect width="20" height="20" fill="{colour}"/>
<metadata><rdf:RDF xmlns:cc="http://web.resource.org/cc/" {RDF}><cc:Work rdf:about="">
<dc:title>{title}</dc:title><dc:description></dc:description><dc:subject><rdf:Bag>{subject}</rdf:Bag></dc:subject>
<dc:publisher><cc:Agent><dc:title>Open Clip Art Library</dc:title></cc:Agent></dc:publisher>
<dc:creator><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:creator><dc:rights><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:rights>
<cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata></svg>""".encode()


XMP = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>
<rdf:Description rdf:about="" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 xmpRights:WebStatement="https://creativecommons.org/licenses/by-sa/4.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A bridge</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ann and Ben</rdf:li></rdf:Alt></dc:rights>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def photograph(kind: str, packet: str = XMP) -> bytes:
    out, picture = io.BytesIO(), Image.radial_gradient("L").convert("RGB")
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        picture.save(out, "PNG", pnginfo=info)
    else:
        picture.save(out, kind, xmp=packet.encode())
    return out.getvalue()


def test_a_drawing_says_what_it_is() -> None:
    said = said_inside(clipart("a red box", "http://web.resource.org/cc/PublicDomain", ("box", "shapes")))
    assert said == {"title": "a red box", "author": "Ann", "keywords": "box, shapes", "licence": "public domain"}
    plain = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title> A\n box </title><desc>Of wood</desc></svg>'
    )
    assert said_inside(plain) == {"title": "A box", "description": "Of wood"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_xmp(kind: str) -> None:
    said = said_inside(photograph(kind))
    assert said == {"title": "A bridge", "author": "Ann, Ben", "licence": "CC-BY-SA-4.0"}
    found = IMAGE.probe(photograph(kind))
    assert isinstance(found, Probed) and found.fields["title"] == "A bridge"


@pytest.mark.parametrize(
    ("address", "licence"),
    [
        ("http://creativecommons.org/licenses/GPL/2.0/", "GPL-2.0-only"),
        ("http://creativecommons.org/licenses/publicdomain/", "public domain"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("http://creativecommons.org/licenses/by-nc/2.5/", "CC-BY-NC-2.5"),
        ("", None),
        ("https://example.org/mine", None),
    ],
)
def test_addresses_of_licences(address: str, licence: str | None) -> None:
    assert said_inside(clipart("x", address)).get("licence") == licence


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        photograph("PNG", "<x:xmpmeta>broken"),
        photograph("PNG", BOMB + "<x>&b;</x>"),
        photograph("JPEG", "\0 " * 100),
        b"no picture at all",
        clipart("x" * 20_000, "", ()).replace(b"Ann", b""),
    ],
)
def test_what_is_broken_or_made_to_grow_says_nothing(data: bytes) -> None:
    assert said_inside(data) == {}


def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **spec: object) -> dict[str, Item]:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "boxes"
    folder.mkdir(parents=True)
    (folder.parent / "LICENSE").write_text("MIT License\n")
    (folder / "a_red_box.svg").write_bytes(clipart("a red box", "http://web.resource.org/cc/PublicDomain", ("box",)))
    (folder / "no title.svg").write_bytes(clipart("", "", ("box", "blue"), "blue"))
    (folder / "photo.jpg").write_bytes(photograph("JPEG"))
    items = collected(Run(tmp_path / "run"), "draw", [{"folder": str(folder.parent), **spec}])
    return {item.path.rpartition("/")[2]: item for item in items if item.path.startswith("boxes")}


def test_the_words_and_the_licence_of_a_file_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = described(tmp_path, monkeypatch, text=["{title} ({folder})", "{keywords}"])
    assert {name: item.fields["text"] for name, item in items.items()} == {
        "a_red_box.svg": "a red box (boxes)",
        "no title.svg": "box, blue",
        "photo.jpg": "A bridge (boxes)",
    }
    assert {name: (item.licence, item.notice) for name, item in items.items()} == {
        "a_red_box.svg": ("public domain", "the file itself"),
        "no title.svg": ("MIT", "LICENSE"),
        "photo.jpg": ("CC-BY-SA-4.0", "the file itself"),
    }


def test_what_has_no_words_is_dropped_and_the_recipe_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = described(tmp_path, monkeypatch, text="{title}", licence="CC0-1.0")
    assert (items["no title.svg"].reason, items["no title.svg"].detail) == ("missing_text", "nothing in `title`")
    assert {item.licence for item in items.values()} == {"CC0-1.0"}


def test_the_name_of_a_file_can_be_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = described(tmp_path, monkeypatch, text="{name}")
    assert items["a_red_box.svg"].fields["text"] == "a red box"
