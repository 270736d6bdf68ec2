"""``segment RUN``: the class of every pixel, by a linear classifier of the frozen map."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments, printing
from jaxssl.data import canvases
from jaxssl.evaluation import pixel_probe, segmentation


@dataclasses.dataclass(frozen=True)
class Segment:
    """Fits a linear classifier to the cells of frozen maps; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        encoders: of trained, random (the same network with random weights), pixels (those of a
            cell).
        data_path: fashion-mnist-canvas, or a folder of SPLIT/images/NAME.EXT and
            SPLIT/masks/NAME.png.
        train_split: what the classifier is fitted to.
        test_split: what is predicted.
        step: checkpoint; the newest by default.
        weights_seed: of the random encoder's weights.
        options: the protocol.
    """

    run: arguments.RunPath
    encoders: tuple[pixel_probe.Encoder, ...] = ("trained", "random", "pixels")
    data_path: str = canvases.NAME
    train_split: str = "train"
    test_split: str = "test"
    step: int | None = None
    weights_seed: int = 0
    options: Annotated[pixel_probe.PixelProbeConfig, tyro.conf.arg(name="")] = (
        pixel_probe.PixelProbeConfig()
    )


def run(words: Sequence[str]) -> None:
    """``jaxssl segment RUN``."""
    options = arguments.parse(Segment, words, prog="jaxssl segment")
    for encoder in options.encoders:
        record = segmentation.evaluate(
            options.run,
            encoder,
            options.options,
            path=options.data_path,
            names=(options.train_split, options.test_split),
            step=options.step,
            weights_seed=options.weights_seed if encoder == "random" else 0,
        )
        printing.print_segmentation(record)
        if not record["results"]["converged"]:
            print(
                f"jaxssl: the classifier of {encoder} did not converge; raise --max-iterations",
                file=sys.stderr,
            )
