"""Settings and request of the task `restyle`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import Field, model_validator

from genwright.about import About, Least, Survey, Verdict
from genwright.console import count
from genwright.request import GOES_WITH, POSITIONAL, Blob, of_medium
from genwright.settings import Section
from genwright.tasks.image.options import Prepare as Prepare
from genwright.tasks.image.options import Side

_LEAST_OF_A_STYLE = 40
"""Pictures of one hand below which nobody could tell it from what they show."""


def _verdict(survey: Survey) -> Verdict:
    if not survey.pictures:
        return Verdict(0, False, "no pictures")
    inside = (one.path for one in survey.files if one.medium == "image" and not one.reason and "/" in one.path)
    hands = Counter(path.partition("/")[0] for path in inside)
    told = count(survey.pictures, "picture")
    if len(hands) != 2:
        return Verdict(
            survey.pictures, False, f"{told}: two hands are told apart by two folders; they lie in {len(hands):,}"
        )
    few = min(hands, key=lambda name: hands[name])
    if hands[few] < _LEAST_OF_A_STYLE:
        least = f"too few to tell its hand by; about {_LEAST_OF_A_STYLE} are the least"
        return Verdict(
            survey.pictures,
            False,
            f"{told}: {count(hands[few], 'picture')} in {few} {'is' if hands[few] == 1 else 'are'} {least}",
        )
    return Verdict(survey.pictures, True, f"{told} in two folders: enough for restyle, if each is of one hand")


ABOUT = About(
    medium="image",
    families=("flow", "cycle"),
    example={"picture": "picture.png"},
    use='made.save("restyled.png")',
    pipeline="image-to-image",
    limits="Small pictures like those it learned from, carried over from one hand to the other. It knows these hands alone. What a picture "
    "shows may change on the way, letters and faces before all, so what comes out says nothing about what is there.",
    verdict=_verdict,
    when_asked=True,
    least=Least("pictures", 2 * _LEAST_OF_A_STYLE),
    roles={"a": _LEAST_OF_A_STYLE, "b": _LEAST_OF_A_STYLE},
    files=("target",),
)


class Model(Section):
    size: Side = Field(32, description="Side of the pictures in pixels: a power of two from 16 to 256.")
    a: str = Field("a", min_length=1, description="What the hand of the first pictures is called (`as: a`).")
    b: str = Field(
        "b",
        min_length=1,
        description="What the other hand is called (`as: b`, or the further files `target`): what `--style` takes.",
    )

    @model_validator(mode="after")
    def _are_two(self) -> Model:
        if self.a == self.b:
            raise ValueError(f"a and b are both called {self.a!r}; give each hand a name of its own")
        return self


class Request(Section):
    picture: Annotated[Blob, of_medium("image")] = Field(
        description="The picture to carry over.", json_schema_extra=POSITIONAL
    )
    style: str = Field("", description="In whose hand: a style by its name; default: that of `model.b`.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed, same picture.")
    steps: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Steps from noise to picture; default: 8, and 32 there and back of a model that did not learn from pairs.",
        json_schema_extra={GOES_WITH: "steps"},
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=20,
        description="How much more than learned the style counts; 1: as learned, and half the work.",
        json_schema_extra={GOES_WITH: "guidance"},
    )
    strength: float = Field(
        1.0,
        gt=0,
        le=1,
        description="How much of the picture may change; 1: all of it that the hand asks for.",
        json_schema_extra={GOES_WITH: "strength"},
    )
