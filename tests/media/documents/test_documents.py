"""What text comes out of documents that were made by the programs' own libraries, and what is said of broken ones."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import docx
import pytest
from PIL import Image
from reportlab.lib import pdfencrypt
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from genwright.ledger import Drop
from genwright.media.documents import opening
from genwright.media.text import TEXT, Decoded, read

VERSE = ["The sea is calm to-night.", "The tide is full, the moon lies fair", "", "Upon the straits"]


def text_of(data: bytes) -> str:
    found = read(data)
    assert isinstance(found, Decoded), found
    return found.text


def word(**core: str) -> bytes:
    made: Any = docx.Document()
    made.add_heading("Cells", 1)
    made.add_paragraph("A cell has a mem\u00adbrane\u00a0and more.")
    for item in ("first", "second"):
        made.add_paragraph(item, style="List Bullet")
    table = made.add_table(2, 2)
    for number, cell in enumerate(("name", "mark", "Ann", "2")):
        table.cell(number // 2, number % 2).text = cell
    made.sections[0].header.paragraphs[0].text = "HEADER"
    for name, value in core.items():
        setattr(made.core_properties, name, value)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def pdf(*pages: list[tuple[int, int, str]], picture: bool = False, **options: Any) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, **options)
    for page in pages:
        for x, y, text in page:
            canvas.drawString(x, y, text)
        if picture:
            canvas.drawImage(ImageReader(Image.new("RGB", (60, 80), "grey")), 50, 50, 400, 600)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def zipped(*parts: tuple[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return out.getvalue()


def book(*chapters: str, more: tuple[tuple[str, str], ...] = ()) -> bytes:
    items = "".join(
        f'<item id="c{n}" href="text%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in reversed(range(len(chapters))))
    return zipped(
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", '<container><rootfiles><rootfile full-path="O/b.opf"/></rootfiles></container>'),
        (
            "O/b.opf",
            '<package xmlns:dc="d"><metadata><dc:title>A Book</dc:title><dc:creator>Ann</dc:creator></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        ),
        *((f"O/text {n}.xhtml", chapter) for n, chapter in enumerate(chapters)),
        *more,
    )


def odt(content: str, more: tuple[tuple[str, str], ...] = ()) -> bytes:
    spaces = 'xmlns:o="o" xmlns:text="t" xmlns:table="b"'
    body = f"<o:document {spaces}><o:body><o:text>{content}</o:text></o:body></o:document>"
    return zipped(("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", body), *more)


def test_a_word_document() -> None:
    found = read(word(title="On cells", author="Ann"))
    assert isinstance(found, Decoded)
    assert found.text == ("# Cells\n\nA cell has a membrane and more.\n\n- first\n- second\n\nname | mark\nAnn | 2")
    assert found.remark.startswith("a Word document, read by mammoth ")
    assert found.fields.items() >= {("title", "On cells"), ("author", "Ann")}
    assert found.fields["reader"].startswith("mammoth ")
    assert "author" not in TEXT.probe(word(author="python-docx")).fields  # type: ignore[union-attr]


def test_lines_of_verse_stay_lines() -> None:
    made: Any = docx.Document()
    for line in VERSE * 3:
        made.add_paragraph(line)
    out = io.BytesIO()
    made.save(out)
    assert text_of(out.getvalue()).startswith("\n".join(VERSE[:2]) + "\n\n" + VERSE[3] + "\n" + VERSE[0])


def test_a_book_is_read_in_its_order() -> None:
    first = "<html><head><title>x</title></head><body><h2>Two</h2><p>It <i>en\u00adds</i>.</p></body></html>"
    found = read(book(first, "<html><body><h2>One</h2><p>It begins.</p></body></html>"))
    assert isinstance(found, Decoded)
    assert found.text == "## One\n\nIt begins.\n\n## Two\n\nIt ends."
    assert found.fields.items() >= {("title", "A Book"), ("author", "Ann")}


def test_a_text_of_libreoffice() -> None:
    content = (
        '<text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:h text:outline-level="2">Head</text:h>'
        "<text:p>One<text:s/>two<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>a note</text:p>"
        "</text:note-body></text:note>.</text:p><text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p>"
        "</table:table-cell></table:table-row></table:table>"
    )
    assert text_of(odt(content)) == "## Head\n\nOne two [a note].\n\n- item\n\na | b"


def test_rich_text() -> None:
    data = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Notes}{\author Ann}}\f0 The h\'e4rbour\par "
        rb"Sec\-ond with \u8220 ?quotes\u8221 ? and\line a line.\par\trowd\cellx1\cellx2 a\cell b\cell\row\pard End.\par}"
    )
    found = read(data)
    assert isinstance(found, Decoded)
    assert found.text == "The h\u00e4rbour\n\nSecond with \u201cquotes\u201d and\na line.\n\na | b\n\nEnd."
    assert found.fields["title"] == "Notes"


def test_a_pdf_has_paragraphs_and_whole_words() -> None:
    page = [
        (72, 714, "{} is a word that stands on one page alone, and this line is as long as any"),
        (72, 700, "This line is as long as any other one on the page, and the last word is hy-"),
        (72, 686, "phenated at its end. The next words are well-known ones, and they are well-"),
        (72, 672, "known in the end."),
        (72, 658, "A new one begins here, since the word would have had room above, up to there"),
        (72, 644, "and ends."),
        (72, 600, "Further down, {}."),
    ]
    words = ("Moor", "Fen", "Marsh", "Bog")
    pages = [
        [(72, 800, "A Journal"), *((x, y, line.format(word)) for x, y, line in page), (300, 30, f"Page {n}")]
        for n, word in enumerate(words, 1)
    ]
    text = text_of(pdf(*pages))
    assert "Journal" not in text and "Page" not in text
    assert text.startswith(
        "Moor is a word that stands on one page alone, and this line is as long as any This line is as long as any other one on "
        "the page, and the last word is hyphenated at its end. The next words are "
        "well-known ones, and they are well-known in the end.\n\nA new one begins here, since the word would have had room "
        "above, up to there and ends.\n\nFurther down, Moor.\n\nFen is"
    )


PAGE = """<!-- saved from url --><!DOCTYPE html><html><head><title>Otters</title><style>p {color: red}</style></head><body>
<header><a href=/>Home</a></header><nav><ul><li><a href=1>News</a><li><a href=2>Shop</a></ul></nav>
<div id="content"><p>Otters live in riv&shy;ers &amp; seas, where they catch fish all day.<p>They sleep, too, and hold hands then.
<ol start=3><li>eat<li>sleep</ol><pre>a
  b</pre><p>Line<br>break</p></div>
<div class="cookie-consent">We use cookies</div><aside>Read more</aside><footer>Imprint</footer><script>x()</script></body></html>"""


def test_of_a_web_page_what_it_is_about() -> None:
    found = read(PAGE.encode())
    assert isinstance(found, Decoded)
    assert found.text == (
        "# Otters\n\nOtters live in rivers & seas, where they catch fish all day.\n\nThey sleep, too, and hold hands then.\n\n"
        "3. eat\n4. sleep\n\na\n  b\n\nLine\nbreak"
    )
    assert found.remark.startswith("a web page, read by lxml ")


def test_a_page_of_links_is_kept_whole() -> None:
    links = "".join(f"<li><a href={n}>My page {n}</a></li>" for n in range(5))
    assert "My page 3" in text_of(f"<html><body><ul>{links}</ul></body></html>".encode())


def test_a_page_says_its_encoding() -> None:
    text = (
        "<html><head><meta charset=windows-1251></head><body><p>\u041f\u0440\u0438\u0432\u0435\u0442</p></body></html>"
    )
    assert text_of(text.encode("cp1251")) == "\u041f\u0440\u0438\u0432\u0435\u0442"


BOMB = ("word/x.xml", b"<a>" + b"0" * (80 << 20))


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (pdf([], [], picture=True), "no_text", "2 pages without letters"),
        (pdf([(72, 700, "secret")], encrypt=pdfencrypt.StandardEncryption("a", canPrint=0)), "encrypted", "password"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 4, "undecodable", "no PDF"),
        (word()[:2000], "undecodable", "cut short or corrupt"),
        (zipped(("[Content_Types].xml", "<x/>")), "undecodable", "no Word document"),
        (zipped(("[Content_Types].xml", "<x/>"), BOMB), "bomb", "would unpack to"),
        (zipped(("[Content_Types].xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')), "bomb", "entities"),
        (zipped(("[Content_Types].xml", ""), ("xl/workbook.xml", "")), "wrong_medium", "save it as .csv"),
        (book('<!DOCTYPE x [<!ENTITY a "b">]><html/>'), "bomb", "entities"),
        (book("<html/>", more=(("META-INF/encryption.xml", "<a>O/text 0.xhtml</a>"),)), "encrypted", "DRM"),
        (zipped(("mimetype", "application/epub+zip")), "undecodable", "META-INF/container.xml is missing"),
        (odt("", (("META-INF/manifest.xml", "<a><encryption-data/></a>"),)), "encrypted", "password"),
        (odt("<text:p>"), "undecodable", "no XML"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "wrong_medium", "save it as .docx"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
            "password",
        ),
        (b"{\\rtf1 " + b"{" * 500, "undecodable", "cut short"),
    ],
)
def test_what_can_not_be_read_is_told_with_its_reason(data: bytes, reason: str, said: str) -> None:
    found = TEXT.probe(data)
    assert isinstance(found, Drop)
    assert found.reason == reason
    assert said in found.detail


@pytest.mark.parametrize("data", [word(), book("<html/>"), odt(""), pdf([]), b"{\\rtf1 x}", PAGE.encode()])
def test_where_the_library_is_missing_the_cure_is_named(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    for name in ("lxml", "lxml.etree", "lxml.html", "mammoth", "pypdfium2", "striprtf", "striprtf.striprtf"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    assert TEXT.probe(data) == Drop("needs_library", "pip install 'genwright[documents]'")


def test_only_documents_are_taken_for_documents(tmp_path: Path) -> None:
    for head in (b"PK\x03\x04" + bytes(60), b"%PDF is a format", b"{\\rtf is rich text", b"<p>a fragment</p>"):
        assert not opening.is_document(head)
    assert text_of(b"<p>a fragment</p>\n") == "<p>a fragment</p>\n"


def test_a_book_that_was_packed_again_is_still_a_book() -> None:
    again = io.BytesIO()
    packed = zipfile.ZipFile(io.BytesIO(book("<html><body><p>It begins.</p></body></html>")))
    with packed, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in reversed(packed.namelist()):
            archive.writestr(name, packed.read(name))
    assert text_of(again.getvalue()) == "It begins."


def test_a_piece_of_a_web_page_is_read_as_one() -> None:
    piece = "<div class='x'><p>Milk of goats.</p></div>\n<div><p>Bread.</p></div>\n"
    assert text_of(piece.encode()) == "Milk of goats.\n\nBread."
    assert text_of(b"<p>is the tag of a paragraph.") == "<p>is the tag of a paragraph."


def test_a_pdf_that_unpacks_without_end_is_told() -> None:
    drawn = zlib.compress(b"0 0 1 1 re f " * 5_000_000)
    head = f"<</Length {len(drawn)} /Filter /FlateDecode>>\nstream\n".encode()
    found = TEXT.probe(b"%PDF-1.7\n1 0 obj\n" + head + drawn + b"\nendstream\nendobj\n")
    assert isinstance(found, Drop) and found.reason == "bomb"
