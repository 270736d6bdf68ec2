"""``propagate RUN VIDEO``: colours or a mask of the first frame, carried through a video."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import propagation
from jaxssl.report import plots


@dataclasses.dataclass(frozen=True)
class Propagate:
    """Carries colours, or a mask, of a video's first frame through it; writes RUN/propagation/.

    Attributes:
        run: run directory.
        video: a video file.
        mask: image of one channel, each value a class, for the first frame.
        truth: folder of such a mask of every frame that is read, instead: the first is carried, and
            the others tell J and F of DAVIS.
        step: checkpoint; the newest by default.
        options: how the video is read and what is pointed at.
    """

    run: arguments.RunPath
    video: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="VIDEO")]
    mask: Path | None = None
    truth: Path | None = None
    step: int | None = None
    options: Annotated[propagation.PropagationConfig, tyro.conf.arg(name="")] = (
        propagation.PropagationConfig()
    )

    def unused(self) -> dict[str, str]:
        """What asks for another option, or for none."""
        return {} if self.truth is None else {"mask": "--truth has that of the first frame"}


def run(words: Sequence[str]) -> None:
    """``jaxssl propagate RUN VIDEO``."""
    options = arguments.parse(Propagate, words, prog="jaxssl propagate")
    found = propagation.run(
        options.run,
        options.video,
        options.options,
        mask=options.mask,
        truth=options.truth,
        step=options.step,
    )
    title = f"Colors of the first frame of {options.video.name}"
    plots.draw_grid(found.columns, found.directory / "frames.png", title=title)
    for name, result in found.record["results"].items():
        print(f"colors {name}: mean error {result['mean_error']:.2f} in ab")
        if masks := result.get("masks"):
            both, regions, edges = (
                100 * each for each in (masks["J&F"], masks["J"]["mean"], masks["F"]["mean"])
            )
            print(f"masks {name}: J&F {both:.1f} % (J {regions:.1f}, F {edges:.1f})")
