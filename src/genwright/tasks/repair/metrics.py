"""The columns of `repair`'s score sheet: a few numbers for each kind of damage."""

from __future__ import annotations

from genwright.metrics.restoration import MOST_PSNR
from genwright.metrics.variety import METRIC as VARIETY
from genwright.scores import Metric
from genwright.tasks.repair.damage import Trial

GAIN, PSNR, SSIM, PERCEPTUAL, KID = "gain", "psnr", "ssim", "perceptual", "kid"
MEASURES = (PSNR, SSIM, PERCEPTUAL, KID)


def column(measure: str, trial: Trial) -> str:
    """The name of a column."""
    return f"{measure}_{trial.name}"


def metrics_of(trial: Trial, other: str) -> list[Metric]:
    """The columns of one kind of damage; `other` is the title of what the model is set against."""
    return [
        Metric(
            name=column(GAIN, trial),
            title=f"{trial.title}: PSNR ahead of {other} (dB)",
            better="higher",
            description=f"How much nearer to the true pictures than {other} it comes, on the same damaged pictures, with the paired interval: "
            "beyond 0 it is surely nearer.",
        ),
        Metric(
            name=column(PSNR, trial),
            title=f"{trial.title}: PSNR (dB)",
            better="higher",
            description=f"How near to the true picture, pixel by pixel, of the whole picture: 10 log10(255^2 / mean squared error), at most "
            f"{MOST_PSNR:.0f}; mean over pictures.",
        ),
        Metric(
            name=column(SSIM, trial),
            title=f"{trial.title}: SSIM",
            better="higher",
            description="Structural similarity to the true picture, 1 for the same; a window of 11 pixels.",
        ),
        Metric(
            name=column(PERCEPTUAL, trial),
            title=f"{trial.title}: perceptual distance",
            better="lower",
            description="Distance to the true picture between what a network for recognising pictures sees in both; 0 for the same.",
        ),
        Metric(
            name=column(KID, trial),
            title=f"{trial.title}: KID",
            better="lower",
            description="How unlike mended pictures are to training pictures, as a set, by the same network; real ones are the last row.",
        ),
    ]


VARIED = VARIETY.model_copy(
    update={
        "title": "half missing: variety of samples",
        "description": "Mean distance between samples for one damaged picture over that between samples for different ones: near 0 every sample "
        "is the same, at 1 what is left of the picture is ignored.",
    }
)
