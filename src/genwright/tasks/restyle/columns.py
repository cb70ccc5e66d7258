"""The columns of `restyle`'s score sheet."""

from __future__ import annotations

from genwright.scores import Metric

TRUTHS = {
    "perceptual": "perceptual distance to the true drawing",
    "pixels": "pixel distance to the true drawing",
}
"""Distances to the true drawing in the other hand, the chief one first."""
LESSER = {"floor": "the picture as it is", "colours": "its colours matched"}
"""Rows that need no learning of hands."""


def gain(distance: str, row: str) -> str:
    """The name of the column that says how much nearer the model comes than a row."""
    return f"{distance}_gain_{row}"


_GAINS = [
    Metric(
        name=gain(distance, row),
        title=f"nearer than {said}{'' if distance == 'perceptual' else ', by pixels'}",
        better="higher",
        description=f"How much smaller the model's {title} is than that of {said}: the mean over the same pictures of the difference, with an "
        "interval by bootstrap over the pictures; above 0 with all of it, the model is nearer.",
    )
    for distance, title in TRUTHS.items()
    for row, said in LESSER.items()
]
METRICS = [
    Metric(
        name="perceptual",
        title="perceptual distance",
        better="lower",
        description="From the true drawing of the same thing in the other hand, by what a network for recognising pictures sees at five "
        "resolutions (as LPIPS, without its learned weights); 0 is the true drawing itself.",
    ),
    Metric(
        name="pixels",
        title="pixel distance",
        better="lower",
        description="From the true drawing: the root of the mean squared difference of the pixels' values in 0 to 1.",
    ),
    *_GAINS,
    Metric(
        name="content",
        title="content kept",
        better="higher",
        description="Share of pictures whose own source is the nearest of up to 100 held-out sources, by the features that KID uses. The "
        "picture as it is has 1; the true drawings show how far another hand goes from the sources by itself.",
    ),
    Metric(
        name="kid",
        title="KID",
        better="lower",
        description="How unlike the row's pictures are to training pictures in the other hand, as a set (squared maximum mean discrepancy, cubic "
        "kernel): about 0 for pictures in that hand. The network is not Inception, so it compares with no KID published elsewhere.",
    ),
    Metric(
        name="sharpness",
        title="sharpness",
        description="Variance of the Laplacian of the luma: lower than the true drawings' is soft, higher is noisy.",
    ),
    Metric(
        name="judge",
        title="judge is right",
        better="lower",
        description="How often a network that was trained afresh to tell training pictures in the other hand from what the model makes is right on "
        "held-out ones, both counted equally: 0.5 is guessing, 1 is never fooled.",
    ),
    Metric(name="judge_on_real", title="judge is right on real", description="Share of true drawings taken for real."),
    Metric(
        name="judge_on_generated",
        title="judge is right on restyled",
        better="lower",
        description="Share of what the model makes that this judge takes for made.",
    ),
    Metric(
        name="own_pairs",
        title="own discriminator, pairs right",
        description="Of the discriminator that the generator was trained against: the share of pairs of a true drawing and what the model makes "
        "in which it finds the true one more real; 0.5 is guessing.",
    ),
]
