"""The parts of gpu.py: each a module of its name with `rows(options) -> Iterator[dict]`, made of what common.py has."""
