"""What can go wrong, as the user is told it.

GenwrightError          one sentence on standard error: the file or key, what is wrong, what to do
  RequestError          exit status 2: the recipe, an argument or the data cannot be used as they are
  WorkError             exit status 1: the request was fine and the work failed (divergence, a full disk, no network)
"""

from __future__ import annotations


class GenwrightError(Exception):
    """Base of every error that is meant for the user; its text is one sentence."""

    exit_status = 1


class RequestError(GenwrightError):
    """The request was wrong: a recipe, an argument, or data in which nothing is usable."""

    exit_status = 2


class WorkError(GenwrightError):
    """The work failed although the request was right."""

    exit_status = 1
