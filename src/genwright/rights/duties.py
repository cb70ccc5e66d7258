"""What the licences of the data ask of those who pass on what was made of it. No legal advice: what the texts are known for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Duties:
    """`attribution`: name the authors and keep their notice; `share_alike`: pass on under the same terms."""

    attribution: bool = False
    share_alike: bool = False
    no_commerce: bool = False
    no_derivatives: bool = False

    def words(self) -> str:
        said = [
            text
            for asked, text in (
                (self.attribution, "name the authors and keep their notice"),
                (self.share_alike, "pass on under the same licence"),
                (self.no_commerce, "no commercial use"),
                (self.no_derivatives, "no changed versions"),
            )
            if asked
        ]
        return ", ".join(said)


def allows(licence: str | None) -> bool:
    """Whether words of something may be quoted where they are passed on: its licence is known, and asks for no unchanged copies."""
    asked = duties(licence)
    return asked is not None and not asked.no_derivatives


def forbids(licence: str | None) -> bool:
    """Whether a licence is known to forbid that; an unknown one is mostly that of the user's own things."""
    asked = duties(licence)
    return asked is not None and asked.no_derivatives


_FREE = ("CC0-1.0", "Unlicense", "public domain", "0BSD", "PDDL-1.0")
_NOTICE = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "PSF-2.0", "Zlib", "BSL-1.0", "OFL-1.1")
_COPYLEFT = ("GPL-", "AGPL-", "LGPL-", "MPL-", "EPL-", "GFDL-", "EUPL-")


def duties(licence: str | None) -> Duties | None:
    """What a licence asks, by its SPDX id; None where it is unknown or not among those known here."""
    if licence is None:
        return None
    if " AND " in licence:
        parts = [duties(part) for part in licence.split(" AND ")]
        known = [part for part in parts if part is not None]
        return _all(known) if len(known) == len(parts) else None
    if " OR " in licence:  # whoever takes it may choose
        return next((found for part in licence.split(" OR ") if (found := duties(part))), None)
    if licence in _FREE:
        return Duties()
    if licence.startswith("CC-BY"):
        return Duties(True, "-SA" in licence, "-NC" in licence, "-ND" in licence)
    if licence in _NOTICE:
        return Duties(attribution=True)
    if licence.startswith(_COPYLEFT):
        return Duties(attribution=True, share_alike=True)
    return None


def _all(parts: Sequence[Duties]) -> Duties:
    return Duties(*(any(getattr(part, one.name) for part in parts) for one in fields(Duties)))
