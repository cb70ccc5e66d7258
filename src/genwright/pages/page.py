"""Pages that need nothing but themselves: the Jinja environment, pictures as data URIs, figures in words."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genwright.console import duration, size
from genwright.pages.charts import DARK, LIGHT, number
from genwright.scores import span

_TEMPLATES = files("genwright.pages") / "templates"
_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
LARGEST_PICTURE_BYTES = 4_000_000
"""A larger picture is shrunk before it goes into a page."""
GAP = 2
"""Pixels between the pictures of a sheet."""
_TILE = 128
"""Pixels that a picture of a sheet is about as wide as on a page."""


def render(template: str, **values: Any) -> str:
    """A whole page. In HTML everything is escaped except what this package's chart functions drew."""
    return _environment().get_template(template).render(**values)


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("genwright.pages"),
        autoescape=lambda name: not (name or "").endswith(".md.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "span": lambda score: span(score.low, score.high, number),
        "size": size,
        "duration": duration,
        "svg": Markup,
        "md": markdown_text,
        "said": said,
        "said_md": said_in_markdown,
        "chars": lambda text, n: text if len(text) <= n else text[: n - 1] + "…",
    }
    environment.globals |= {"style": style, "script": lambda: Markup((_TEMPLATES / "page.js").read_text("utf-8"))}
    return environment


def typeface() -> bytes:
    """The letters that pages are set in, Latin ones, as WOFF2."""
    return (_TEMPLATES / "inter-latin.woff2").read_bytes()


@lru_cache
def style() -> Markup:
    """The style sheet with its two typefaces inside, and the colours of both modes."""
    css = (_TEMPLATES / "page.css").read_text("utf-8")

    def variables(colours: dict[str, str]) -> str:
        return "".join(f"--{name}:{value};" for name, value in colours.items())

    faces = "".join(
        f"@font-face{{font-family:{name};font-weight:{weights};font-display:swap;"
        f"src:url(data:font/woff2;base64,{_encode((_TEMPLATES / file).read_bytes())}) format('woff2')}}"
        for name, weights, file in (
            ("Inter", "100 900", "inter-latin.woff2"),
            ("Newsreader", "200 800", "newsreader-latin.woff2"),
        )
    )
    modes = (
        f":root{{color-scheme:light dark;{variables(LIGHT)}}}"
        f"@media(prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
    )
    return Markup(faces + modes + css)


def picture(file: Path) -> dict[str, Any]:
    """{"uri", "width", "height"} of a picture file; a very large one is shrunk. Raises OSError when it can't be read."""
    if file.suffix == ".svg":
        return {"uri": f"data:{_TYPES['.svg']};base64,{_encode(file.read_bytes())}", "width": None, "height": None}
    from PIL import Image

    with Image.open(file) as image:
        width, height = image.size
        if file.stat().st_size <= LARGEST_PICTURE_BYTES and file.suffix in _TYPES:
            return {"uri": f"data:{_TYPES[file.suffix]};base64,{_encode(file.read_bytes())}", "width": width, "height": height}  # fmt: skip
        image.thumbnail((1600, 1600))
        out = io.BytesIO()
        image.convert("RGB").save(out, "WEBP", quality=90)
        return {"uri": f"data:image/webp;base64,{_encode(out.getvalue())}", "width": image.width, "height": image.height}  # fmt: skip


def tiles(file: Path, words: Sequence[str], across: int, title: str, most: int | None = None) -> Markup:
    """A sheet of pictures as pictures of their own, `words` under each; as many words as columns are for whole columns. `most`: so many
    of them, evenly taken.

    Raises OSError when it can't be read.
    """
    from PIL import Image

    with Image.open(file) as sheet:
        width, height = (sheet.width + GAP) / across, (sheet.height + GAP) / -(-len(words) // across)
        shown = []
        some = len(words) if most is None else min(most, len(words))
        for number in (i * len(words) // some for i in range(some)):
            left, top = number % across * width, number // across * height
            box = (round(left), round(top), round(left + width) - GAP, round(top + height) - GAP)
            out = io.BytesIO()
            sheet.crop(box).save(out, "PNG", optimize=True)
            uri = f"data:image/png;base64,{_encode(out.getvalue())}"
            one = Markup('<li><img src="{}" alt="{}, {}" decoding="async"><span>{}</span></li>')
            shown.append(one.format(uri, title, number + 1, words[number]))
    side = round(width) - GAP
    style = f"--side:{side * max(1, round(_TILE / side))}px" + (";--scaling:pixelated" if side < 2 * _TILE else "")
    return Markup('<ul class="tiles" style="{}">{}</ul>').format(style, Markup("").join(shown))


def markdown_text(value: Any) -> str:
    """Text for one line or one table cell of Markdown: nothing in it is read as markup."""
    return _plain(" ".join(str(value).split()))


def _plain(line: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]|#" else {"<": "&lt;", ">": "&gt;"}.get(c, c) for c in line)


def said(value: Any) -> Markup:
    """A sentence of ours for HTML: what stands between backticks is code, all is escaped."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if is_code else part for is_code, part in _code_apart(value)
    )


def said_in_markdown(value: Any) -> str:
    """A sentence of ours for one line of Markdown: what stands between backticks is code, all else plain text."""
    return "".join(
        f"`{part}`" if is_code else _plain(part) for is_code, part in _code_apart(" ".join(str(value).split()))
    )


def _code_apart(value: Any) -> Iterator[tuple[bool, str]]:
    """The parts of a sentence, and whether each is code. An odd backtick marks nothing."""
    parts = str(value).split("`")
    return zip(cycle((False, True)), parts if len(parts) % 2 else [str(value)], strict=False)


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
