"""What may not be for a model to learn: keys, passwords, e-mail addresses, phone numbers. Found by few clear patterns, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from genwright.about import Private

ADDRESS, PHONE = "e-mail address", "phone number"
"""The kinds that are no secret; every other kind is one."""

_LOOKED_AT = 4_000_000
"""Characters of a file that are looked at."""

# Every pattern begins with fixed letters or a few characters, which the search finds at once; what stands before is looked at afterwards.
_SECRETS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("key of Amazon Web Services", r"AKIA[0-9A-Z]{16}\b"),
        ("key of Amazon Web Services", r"ASIA[0-9A-Z]{16}\b"),
        *(("token of GitHub", rf"gh{letter}_[A-Za-z0-9]{{36,}}") for letter in "pousr"),
        ("token of GitHub", r"github_pat_\w{40,}"),
        ("token of GitLab", r"glpat-[\w-]{20,}"),
        ("token of Slack", r"xox[abeprs]-[\w-]{10,}"),
        ("API key", r"sk-[\w-]{20,}"),
        ("API key", r"[sr]k_live_[0-9A-Za-z]{16,}"),
        ("key of Google", r"AIza[\w-]{35}"),
        ("token of Hugging Face", r"hf_[A-Za-z0-9]{30,}"),
        ("token of a package index", r"pypi-[\w-]{50,}"),
        ("token of a package index", r"npm_[A-Za-z0-9]{36}"),
        ("JSON web token", r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    )
)
_IN_ADDRESS = re.compile(r"://[^/\s:@'\"]+:[^/\s:@'\"{$<]{3,}@")
_VALUE = r"\w*[\"']?[ \t]*(?:[:=][ \t]*[\"']([^\"'\s]{8,})[\"']|=([^\s\"'(){}\[\],;]{8,})$)"
_PASSWORDS = tuple(
    re.compile(word + _VALUE, re.MULTILINE)
    for word in ("passw", "pwd", "secret", "token", "api_key", "api-key", "apikey", "access_key")
)
"""In lower case: a name like these with a value."""
_NO_PASSWORD = re.compile(r"[<${%*.]|x{4}|your|example|change|placeholder|none|null|secret$|password$")
_ADDRESS = re.compile(r"@(?!example\.|localhost|[\w.-]+:[\w/~])(?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,24}\b")
_PHONES = (
    re.compile(r"\+[0-9]{1,3}(?:[ .()/\u00a0-]{0,2}[0-9]{2,4}){3,5}(?!\w)"),
    re.compile(r"\([0-9]{3}\) ?[0-9]{3}[.-][0-9]{4}(?![\w-])"),
    re.compile(r"[0-9]{3}([.-])[0-9]{3}\1[0-9]{4}(?![\w-])"),
    re.compile(r"0[0-9]{2,4}[ /-][0-9]{3,4}[ -]?[0-9]{3,5}(?![\w.,-])"),
)


def private_in(path: str, text: str) -> Iterator[Private]:
    """One of each kind that a text has, the first."""
    text = text[:_LOOKED_AT]
    for kind, start in _found(text):
        yield Private(path, kind, text.count("\n", 0, start) + 1)


def _found(text: str) -> Iterator[tuple[str, int]]:
    for kind, pattern in _SECRETS:
        if (start := _first(pattern, text, _no_word)) >= 0:
            yield kind, start
    if match := _IN_ADDRESS.search(text):
        yield "password in an address", match.start()
    low = text.lower()
    given = (m.start() for words in _PASSWORDS for m in words.finditer(low) if _looks_given(m[1], m[2]))
    if (start := next(given, -1)) >= 0:
        yield "password", start
    if (start := _first(_ADDRESS, text, _name)) >= 0:
        yield ADDRESS, start
    starts = [_first(pattern, text, _no_number) for pattern in _PHONES]
    if there := [start for start in starts if start >= 0]:
        yield PHONE, min(there)


def _first(pattern: re.Pattern[str], text: str, fits: Callable[[str], bool]) -> int:
    """Where a pattern is found first behind a character (or none) that fits; -1 where nowhere."""
    starts = (match.start() for match in pattern.finditer(text))
    return next((start for start in starts if fits(text[max(start - 1, 0) : start])), -1)


def _no_word(before: str) -> bool:
    return not (before.isalnum() or before == "_")


def _no_number(before: str) -> bool:
    return _no_word(before) and before not in tuple(".,+/-")


def _name(before: str) -> bool:
    return before.isalnum() or before in tuple("_+%-")


def _looks_given(quoted: str | None, bare: str | None) -> bool:
    """Whether a value may be a real one: no placeholder, no name of something."""
    value = quoted or bare or ""
    named = value.isalpha() if quoted else not (any(map(str.isdigit, value)) and any(map(str.isalpha, value)))
    return not named and not _NO_PASSWORD.search(value)
