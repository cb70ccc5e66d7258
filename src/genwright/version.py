"""The version, in a room of its own: what needs it may not need the package's door."""

__version__ = "0.1.0"
