"""What may not be for a model to learn: keys, passwords, e-mail addresses, phone numbers. Found by few clear patterns, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator

from genwright.about import Private

ADDRESS, PHONE = "e-mail address", "phone number"
"""The kinds that are no secret; every other kind is one."""

_LOOKED_AT = 4_000_000
"""Characters of a file that are looked at."""
_PREFIXED = (
    ("private key", ("PRIVATE KEY",), r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("key of Amazon Web Services", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("token of GitHub", ("gh", "github_pat_"), r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})"),
    ("token of GitLab", ("glpat-",), r"\bglpat-[\w-]{20,}"),
    ("token of Slack", ("xox",), r"\bxox[abeprs]-[\w-]{10,}"),
    ("API key", ("sk-", "k_live_"), r"\b(?:sk-[\w-]{20,}|[sr]k_live_[0-9A-Za-z]{16,})"),
    ("key of Google", ("AIza",), r"\bAIza[\w-]{35}"),
    ("token of Hugging Face", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
    ("token of a package index", ("pypi-", "npm_"), r"\b(?:pypi-[\w-]{50,}|npm_[A-Za-z0-9]{36})"),
    ("JSON web token", ("eyJ",), r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    ("password in an address", ("://",), r"\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@'\"]+:[^/\s:@'\"{$<]{3,}@"),
)
_SECRETS = [(kind, literals, re.compile(pattern)) for kind, literals, pattern in _PREFIXED]
_WORDS = ("passw", "pwd", "secret", "token", "api_key", "apikey", "api-key", "access_key")
_PASSWORD = re.compile(
    r"(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|access[_-]?key)\w*[\"']?[ \t]*(?:[:=][ \t]*[\"']([^\"'\s]{8,})[\"']|=([^\s\"'(){}\[\],;]{8,})$)",
    re.IGNORECASE | re.MULTILINE,
)
_NO_PASSWORD = re.compile(r"[<${%*.]|x{4}|your|example|change|placeholder|none|null|secret$|password$", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?<![\w.+%/-])[\w.+%-]{1,64}@(?!example\.|localhost)(?:[\w-]{1,63}\.){1,5}[a-z]{2,24}\b", re.IGNORECASE
)
_PHONE = re.compile(
    r"(?<![\w.+])\+\d{1,3}(?:[ .()/\u00a0-]{0,2}\d{2,4}){3,5}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w-])"
    r"|(?<![\w.,+-])0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}(?![\w.,-])"
)


def private_in(path: str, text: str) -> Iterator[Private]:
    """One of each kind that a text has, the first."""
    text = text[:_LOOKED_AT]
    for kind, start in _found(text):
        yield Private(path, kind, text.count("\n", 0, start) + 1)


def _found(text: str) -> Iterator[tuple[str, int]]:
    for kind, literals, pattern in _SECRETS:
        if any(literal in text for literal in literals) and (match := pattern.search(text)):
            yield kind, match.start()
    low = text.lower()
    if any(word in low for word in _WORDS):
        given = (match for match in _PASSWORD.finditer(text) if _looks_given(match[1] or match[2]))
        if match := next(given, None):
            yield "password", match.start()
    if "@" in text and (match := _ADDRESS.search(text)):
        yield ADDRESS, match.start()
    if match := _PHONE.search(text):
        yield PHONE, match.start()


def _looks_given(value: str) -> bool:
    """Whether a value may be a real one: no placeholder, and not letters alone, which are the name of something."""
    return not _NO_PASSWORD.search(value) and not value.isalpha()
