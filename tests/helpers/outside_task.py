"""A task from outside the package, registered for a while: what it says of itself is the test's, its settings are those of `draw`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from genwright.about import About
from genwright.registry import TASKS, Entry
from genwright.tasks.draw import options as draw


@contextmanager
def outside_task(name: str, about: About, implementation: str = "nowhere:Nothing") -> Iterator[None]:
    module = ModuleType(f"outside_{name}_options")
    module.__dict__.update(ABOUT=about, Prepare=draw.Prepare, Model=draw.Model, Request=draw.Request)
    sys.modules[module.__name__] = module
    TASKS.register(name, Entry(implementation, module.__name__))
    try:
        yield
    finally:
        TASKS.unregister(name)
        del sys.modules[module.__name__]
