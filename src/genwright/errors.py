"""What can go wrong, as the user is told it.

GenwrightError          one sentence on standard error: the file or key, what is wrong, what to do
  RequestError          exit status 2: the recipe, an argument or the data cannot be used as they are
  WorkError             exit status 1: the request was fine and the work failed (divergence, a full disk, no network)
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


class GenwrightError(Exception):
    """Base of every error that is meant for the user; its text is one sentence."""

    exit_status = 1


class RequestError(GenwrightError):
    """The request was wrong: a recipe, an argument, or data in which nothing is usable."""

    exit_status = 2


class WorkError(GenwrightError):
    """The work failed although the request was right."""

    exit_status = 1


_REFUSED = {
    errno.ENOSPC: ("no room on the disk", "make room and give the same command again"),
    errno.EDQUOT: ("no room left of what you may use of the disk", "make room and give the same command again"),
    errno.EFBIG: ("larger than this disk or this account may hold", "write to another place"),
    errno.EACCES: ("may not be read or written", "change its rights or name another place"),
    errno.EPERM: ("may not be changed", "change its rights or name another place"),
    errno.EROFS: ("the disk is read-only", "name a place that can be written to"),
    errno.ENAMETOOLONG: ("a name that is longer than the disk allows", "name it shorter"),
    errno.ENOENT: ("no such file or folder", "check its name"),
    errno.ENOTDIR: ("a part of this path is a file and no folder", "name another place"),
    errno.EISDIR: ("a folder where a file belongs", "name a file, or move the folder away"),
    errno.EEXIST: ("stands there already and is something else", "move it away or name another place"),
    errno.ENOTEMPTY: ("a folder with other files in it", "move it away or name another place"),
    errno.ELOOP: ("a link that leads back to itself", "mend the link"),
    errno.ENOLCK: ("this disk keeps no locks, as network disks may", "work on a local disk (--run-dir; GENWRIGHT_CACHE for the cache)"),
    errno.EMFILE: ("too many files are open at once", "allow more (`ulimit -n 4096`) and give the same command again"),
    errno.ENFILE: ("too many files are open on this machine", "give the same command again later"),
    errno.EIO: ("the disk failed", "check the disk, then give the same command again"),
    errno.ESTALE: ("the network disk lost it", "give the same command again"),
    errno.EBUSY: ("in use by another program", "close that and give the same command again"),
    errno.ETXTBSY: ("in use by another program", "close that and give the same command again"),
    errno.EXDEV: ("can't be moved from one disk to another", "name a place on the same disk"),
}  # fmt: skip
"""What an operating system may refuse: what it means, and what to do."""


def refused(error: OSError) -> str | None:
    """An error of the system as one sentence with its path; None where it is none that a user can mend, so that it is a bug of ours."""
    known = _REFUSED.get(error.errno or 0)
    if known is None or (error.filename is None and error.errno == errno.ENOENT):
        return None
    what, cure = known
    place = f"{error.filename}: " if error.filename is not None else ""
    return f"{place}{what}{_free(error)}; {cure}."


def _free(error: OSError) -> str:
    if error.errno != errno.ENOSPC or error.filename is None:
        return ""
    place = next((p for p in (Path(error.filename), *Path(error.filename).parents) if p.is_dir()), None)
    return f" ({shutil.disk_usage(place).free:,} bytes free)" if place else ""
