"""What an export is compared on: prompts, the tokens our model goes on with, and its logits there.

V vocabulary, T tokens
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from torch import Tensor

from genwright.console import count, track
from genwright.errors import WorkError
from genwright.exporters.source import Reference

LOGIT_TOLERANCE = 1e-4
"""How far the logits of another runtime may lie from ours in fp32, as a share of the largest logit where that is above 1."""

TIE = 1e-3
"""Two tokens whose logits lie closer than this share of the largest are equally likely as far as fp32 can tell."""

TEXTS = (
    "Once upon a time",
    "ROMEO:\nBut, soft! what light through yonder window breaks?",
    "def main(argv: list[str]) -> int:\n    return 0\n",
    "床前明月光，疑是地上霜。",
    "The year 2026: 3.14 + 41 = 44.14!\n\n\tNaïve café — «déjà vu» 🙂👩‍🚀 العربية",
)
"""Prompts in several scripts, with digits, code and white space: each is a way in which tokenizers differ."""

CONVERSATIONS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Who was Ada?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who was Ada?"},
        {"role": "assistant", "content": "A mathematician."},
        {"role": "user", "content": "And Grace?"},
    ],
)
"""What a chat template is rendered on."""

TOKENS = 24
"""Tokens to go on with after each prompt."""


class Comparison(BaseModel):
    """One line of an export's record: how far a runtime agreed with the model."""

    runtime: str
    version: str
    prompts: int
    tokens: int
    """Greedy tokens compared, all prompts together."""
    equal: int
    """How many of them were the same."""
    ties: int = 0
    """Prompts that parted from ours where two tokens were equally likely."""
    largest_difference: float | None = None
    """Between the runtime's logits and ours, or its log-probabilities where it tells no logits."""
    texts: int = 0
    """Texts that its tokenizer turned into the same tokens."""
    conversations: int = 0
    """Conversations that its chat template turned into the same text and the same tokens."""
    notes: list[str] = []

    def __str__(self) -> str:
        parts = [f"{self.equal} of {count(self.tokens, 'greedy token')} equal over {count(self.prompts, 'prompt')}"]
        if self.ties:
            parts.append(f"{self.ties} parted at a tie")
        if self.largest_difference is not None:
            parts.append(f"largest logit difference {self.largest_difference:.1g}")
        if self.texts:
            parts.append(f"{count(self.texts, 'text')} tokenized the same")
        if self.conversations:
            parts.append(f"{count(self.conversations, 'conversation')} written the same")
        return f"{self.runtime} {self.version}: {', '.join([*parts, *self.notes])}"


@dataclass
class Trial:
    """A prompt, what our model says after it (the token that ends a text included), and its logits before each token, T,V."""

    prompt: list[int]
    tokens: list[int]
    logits_TV: Tensor  # noqa: N815 - shape suffix
    ended: bool = False
    """Whether the last token ends the text."""

    @property
    def forced(self) -> list[list[int]]:
        """What has been read when each token is chosen."""
        return [[*self.prompt, *self.tokens[:count]] for count in range(len(self.tokens))]


@dataclass
class Words:
    """Texts and conversations with the tokens that they are here."""

    texts: dict[str, list[int]]
    conversations: list[tuple[list[dict[str, str]], str, list[int]]]
    """Messages, the text that the chat template makes of them, its tokens; none for a model that does not chat."""


def words(reference: Reference) -> Words:
    made = [(messages, reference.conversation(messages)) for messages in CONVERSATIONS]
    return Words(
        {text: reference.encode(text) for text in TEXTS},
        [(messages, *found) for messages, found in made if found is not None],
    )


def trials(reference: Reference, context: int | None = None) -> list[Trial]:
    """Our side of the comparison, within the model's context or a shorter one."""
    # llama.cpp refuses a request that fills its context.
    context = min(context or reference.context, reference.context) - 1
    count = max(1, min(TOKENS, context // 2))
    made = []
    for text in track(TEXTS, "ask our own model", len(TEXTS)):
        prompt = reference.encode(text)[: context - count] or [0]
        tokens = reference.greedy(prompt, count)
        logits_TV = reference.logits([*prompt, *tokens])[len(prompt) - 1 :]
        ended = len(tokens) < count
        if ended:
            tokens = [*tokens, int(logits_TV[-1].argmax())]
        made.append(Trial(prompt, tokens, logits_TV[: len(tokens)], ended))
    return made


def count_equal(trial: Trial, theirs: Sequence[int]) -> tuple[int, bool]:
    """How many of a runtime's greedy tokens are ours, up to the first that is not, and whether that one was a tie."""
    for step, token in enumerate(trial.tokens):
        if step >= len(theirs):
            # Some runtimes hand out the token that ends a text, some only stop.
            return (len(trial.tokens) if trial.ended and step + 1 == len(trial.tokens) else step), False
        if theirs[step] != token:
            logits_V = trial.logits_TV[step]
            margin = float(logits_V[token] - logits_V[theirs[step]])
            return step, margin <= TIE * max(1.0, float(logits_V.abs().max()))
    return len(trial.tokens), False


def compare_tokens(
    made: Sequence[Trial], theirs: Sequence[Sequence[int]], runtime: str, version: str, *, exact: bool
) -> Comparison:
    """Raises WorkError where `exact` and a runtime's greedy output parts from ours at anything but a tie."""
    counts = [count_equal(trial, tokens) for trial, tokens in zip(made, theirs, strict=True)]
    for trial, tokens, (equal, tie) in zip(made, theirs, counts, strict=True):
        if exact and equal < len(trial.tokens) and not tie:
            got = tokens[equal] if equal < len(tokens) else "the end"
            raise WorkError(
                f"export: the greedy output of {runtime} differs from ours ({got} in place of {trial.tokens[equal]} at token {equal + 1}"
                f" after the prompt {trial.prompt[:8]}); report this as a bug."
            )
    return Comparison(
        runtime=runtime,
        version=version,
        prompts=len(made),
        tokens=sum(len(trial.tokens) for trial in made),
        equal=sum(equal for equal, _ in counts),
        ties=sum(tie for _, tie in counts),
    )


def largest_difference(theirs: Tensor, ours: Tensor) -> float:
    """Raises WorkError where shapes differ."""
    if theirs.shape != ours.shape:
        raise WorkError(
            f"export: logits of shape {tuple(theirs.shape)}, ours are {tuple(ours.shape)}; report this as a bug."
        )
    return float((theirs.float() - ours).abs().max())


def check_logits(difference: float, made: Sequence[Trial], runtime: str) -> None:
    """Raises WorkError where fp32 logits lie further apart than rounding explains."""
    scale = max(1.0, *(float(trial.logits_TV.abs().max()) for trial in made))
    if not difference <= LOGIT_TOLERANCE * scale:
        raise WorkError(
            f"export: the logits of {runtime} differ from ours by {difference:.2g}, more than {LOGIT_TOLERANCE * scale:.2g}; report this as a bug."
        )
