"""The columns of `draw`'s score sheet."""

from __future__ import annotations

from collections.abc import Mapping

from genwright.metrics.copying_image import SENTENCE
from genwright.metrics.image import Estimate, enough_for_frechet
from genwright.metrics.variety import METRIC
from genwright.scores import Metric, ScoreSheet
from genwright.tasks.image import agreement, sets

_EQUAL = "Sets of equal size for every row."

METRICS = [
    Metric(
        name="kid",
        title="KID",
        better="lower",
        description="How unlike the row's pictures are to training pictures, as a set: the distance between what a network for recognising "
        "pictures sees in both (squared maximum mean discrepancy, cubic kernel). About 0 for pictures of the same kind, and it may fall "
        "below by chance. The network is not Inception, so it compares with no KID published elsewhere.",
    ),
    Metric(name="frechet", title="Frechet distance", better="lower", description=""),
    *sets.SECOND,
    Metric(
        name="precision",
        title="precision",
        better="higher",
        description=f"Share of pictures that lie among the reference pictures: quality. {_EQUAL}",
    ),
    Metric(
        name="recall",
        title="recall",
        better="higher",
        description=f"Share of reference pictures that lie among the row's pictures: variety. {_EQUAL}",
    ),
    Metric(
        name="density",
        title="density",
        better="higher",
        description=f"As precision, counting how many reference pictures are near; about 1 for real pictures. {_EQUAL}",
    ),
    Metric(
        name="coverage",
        title="coverage",
        better="higher",
        description=f"Share of reference pictures with a picture of the row near them: variety. {_EQUAL}",
    ),
    METRIC,
    agreement.METRIC,
    Metric(name="copy_rate", title="copy rate", better="lower", description=SENTENCE),
    Metric(
        name="sharpness",
        title="sharpness",
        better="none",
        description="Variance of the Laplacian of the luma: lower than real pictures is soft, higher is noisy.",
    ),
    Metric(
        name="judge",
        title="judge is right",
        better="lower",
        description="How often a network that was trained afresh to tell training pictures from samples (a discriminator) is right on "
        "held-out pictures and on other samples, both counted equally: 0.5 is guessing, 1 is never fooled.",
    ),
    Metric(
        name="judge_on_real",
        title="judge is right on real",
        description="Share of held-out pictures that this judge takes for real.",
    ),
    Metric(
        name="judge_on_generated",
        title="judge is right on generated",
        better="lower",
        description="Share of samples that this judge takes for generated.",
    ),
    Metric(
        name="own_pairs",
        title="own discriminator, pairs right",
        description="Of the discriminator that the generator was trained against: the share of pairs of a held-out picture and a sample for "
        "the same words in which it finds the real one more real, D(x) > D(G(z)), which is what it was trained to do; 0.5 is guessing.",
    ),
    Metric(
        name="own_on_real",
        title="own discriminator, right on real",
        description="Share of held-out pictures that the discriminator which the generator was trained against takes for real, D(x) > 0.5; "
        "of a relativistic one, finds more real than the mean sample.",
    ),
    Metric(
        name="own_on_generated",
        title="own discriminator, right on generated",
        description="Share of samples that the same discriminator takes for generated, D(G(z)) <= 0.5; of a relativistic one, finds less real "
        "than the mean held-out picture.",
    ),
]


def frechet_metric(n: int, dimensions: int) -> Metric:
    """The column of the Frechet distance, labelled where there are too few pictures for it (DESIGN, rule 2)."""
    enough = enough_for_frechet(n, n, dimensions)
    return Metric(
        name="frechet",
        title="Frechet distance" if enough else "Frechet (too few)",
        better="lower",
        description="Distance between normal distributions fitted to both sets of features; not comparable with an FID. "
        + (
            _EQUAL
            if enough
            else f"{n} pictures a side are fewer than the {dimensions} dimensions, which inflates every row; look at KID first. "
            + _EQUAL
        ),
    )


def name_frechet(sheet: ScoreSheet, equal: Mapping[str, Mapping[str, Estimate]], dimensions: int) -> None:
    """Put the right description on the column, now that the number of pictures is known."""
    sizes = [scores["frechet"].n for scores in equal.values()]
    if sizes:
        sheet.metrics = [frechet_metric(sizes[0], dimensions) if m.name == "frechet" else m for m in sheet.metrics]
