"""What every test process has in common."""

from __future__ import annotations

import os

# The files run side by side, a process a core; a pool of threads in each would only make them wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
