"""What weights are known by: a hash of their bytes, remembered as long as the files do not change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from genwright import cache
from genwright.console import progress
from genwright.run import write_atomic

_BLOCK_BYTES = 1 << 22


def hash_files(files: Iterable[Path]) -> str:
    """A hash of names and contents, 16 characters. Large files are read once for as long as size and time of change stay."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name} {_hash_file(file)}\n".encode())
    return digest.hexdigest()[:16]


def _hash_file(file: Path) -> str:
    status = file.stat()
    key = hashlib.sha256(f"{file.resolve()} {status.st_ino} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
    record = cache.folder("hashes") / f"{key[:32]}.json"
    if record.exists():
        return json.loads(record.read_text(encoding="utf-8"))["sha256"]
    digest = hashlib.sha256()
    with file.open("rb") as content, progress("hash the weights", status.st_size) as line:
        done = 0
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            line.update(done)
    write_atomic(record, json.dumps({"sha256": digest.hexdigest(), "file": file.name}))
    return digest.hexdigest()
