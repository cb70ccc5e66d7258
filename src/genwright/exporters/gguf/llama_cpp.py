"""Is a GGUF file the model? Loaded by llama.cpp (the package xllamacpp, which brings it built) and compared token by token."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genwright.console import progress
from genwright.errors import WorkError
from genwright.exporters.comparison import Comparison, Trial, Words, compare_tokens

_PATIENCE_S = 1800.0
_TOP = 8
"""Log-probabilities asked for at each step: those of the likeliest tokens."""


def missing() -> str | None:
    """Why there is no llama.cpp to compare in; None where there is."""
    if find_spec("xllamacpp") is None:
        return "not compared in llama.cpp, which is not installed (pip install xllamacpp)"
    return None


def compare(file: Path, made: Sequence[Trial], told: Words, *, exact: bool, threads: int) -> Comparison:
    """`exact`: greedy output must be equal, which is so for f32.

    Raises WorkError where llama.cpp can't read the file or does not do what our model does.
    """
    asked = {
        "file": str(file),
        "context": max(len(trial.prompt) + len(trial.tokens) for trial in made) + 1,
        "threads": threads,
        "prompts": [trial.prompt for trial in made],
        "tokens": max(len(trial.tokens) for trial in made),
        "forced": [trial.forced for trial in made],
        "top": _TOP,
        "texts": list(told.texts),
        "conversations": [messages for messages, _, _ in told.conversations],
    }
    answer = _ask(asked, file)
    found = compare_tokens(made, answer["answers"], "llama.cpp (xllamacpp)", version("xllamacpp"), exact=exact)
    agreed, found.largest_difference = _forced(made, answer["forced"])
    if not exact:
        found.notes.append(f"the next token is ours in {agreed} of {found.tokens} places when it reads our text")
    same = [text for text, tokens in zip(told.texts, answer["encoded"], strict=True) if tokens == told.texts[text]]
    found.texts = len(same)
    for text in told.texts.keys() - set(same):
        found.notes.append(f"{text[:24]!r} is tokenized differently")
    for (_, text, tokens), theirs in zip(told.conversations, answer["conversations"], strict=True):
        if theirs["text"] == text and theirs["tokens"] == tokens:
            found.conversations += 1
        else:
            found.notes.append(f"a conversation is written differently ({theirs['text'][:80]!r})")
    return found


def _forced(made: Sequence[Trial], told: list[list[dict[str, Any]]]) -> tuple[int, float]:
    """How often its likeliest token is ours when it is given our text, and the largest difference of a log-probability."""
    agreed, worst = 0, 0.0
    for trial, steps in zip(made, told, strict=True):
        ours_TV = trial.logits_TV.log_softmax(-1)
        for step, choice in enumerate(steps):
            agreed += choice["token"] == trial.tokens[step]
            apart = (abs(value - float(ours_TV[step, int(token)])) for token, value in choice["top"].items())
            worst = max(worst, *apart, 0.0)
    return agreed, worst


def _ask(asked: dict[str, Any], file: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="genwright-") as folder:
        answer, complaint = Path(folder) / "answer.json", Path(folder) / "stderr"
        request = Path(folder) / "request.json"
        request.write_text(json.dumps(asked), encoding="utf-8")
        with complaint.open("wb") as stderr, progress(f"compare {file.name} in llama.cpp, seconds") as line:
            process = subprocess.Popen(
                [sys.executable, "-m", "genwright.exporters.gguf.llama_cpp_child", str(request), str(answer)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            started = time.monotonic()
            try:
                while process.poll() is None and time.monotonic() - started < _PATIENCE_S:
                    line.update(time.monotonic() - started)
                    time.sleep(0.05)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
        if process.returncode == 0 and answer.exists():
            return json.loads(answer.read_text(encoding="utf-8"))
        lines = [line for line in complaint.read_text("utf-8", "replace").splitlines() if "error" in line.lower()]
        why = lines[0].strip()[:200] if lines else f"exit status {process.returncode}"
        raise WorkError(f"{file}: llama.cpp can't run it ({why}); report this as a bug.")
