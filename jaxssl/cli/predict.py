"""``predict RUN IMAGES... --out FILE.csv``: classes of images, by a fine-tuned run or a probe."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.runs import classifier


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes path, likeliest class and its probability of every image into a CSV file.

    Attributes:
        run: directory of a fine-tuned run, or of one whose probe linear-eval kept.
        images: images, and folders of images at any depth.
        out: file to write.
        step: checkpoint; the newest by default, that has a probe where one is used.
        probe: file of the probe that names them, where the run has several or is fine-tuned.
    """

    run: arguments.RunPath
    images: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGES")]
    out: Path
    step: int | None = None
    probe: Path | None = None

    def unused(self) -> dict[str, str]:
        """What asks for another option to be left out."""
        return {} if self.probe is None else {"step": "the probe is of one"}


def run(words: Sequence[str]) -> None:
    """``jaxssl predict RUN IMAGES... --out FILE.csv``."""
    options = arguments.parse(Predict, words, prog="jaxssl predict")
    if not options.images:
        raise ValueError("IMAGES: must be at least one image, or a folder of images; got none.")
    made = classifier.predict(
        options.run, options.images, options.out, step=options.step, probe=options.probe
    )
    print(f"{options.out}: {made.num_images:,} images")
    for failure in made.unreadable:
        print(f"jaxssl: left out, as unreadable: {failure}", file=sys.stderr)
