"""``prepare SOURCE OUT_DIR``: images or arrays to a sharded TFDS data set."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl import data
from jaxssl.cli import arguments


@dataclasses.dataclass(frozen=True)
class Prepare:
    """Turns a folder of images, an .npz file or IDX files into a sharded TFDS data set.

    Attributes:
        source: what to read.
        out_dir: new directory; its last part is the name of the data set.
        channels: 3 for RGB, 1 for grey.
        num_threads: threads that read and check images.
        value_range: LOW HIGH, the values that are black and white in images of more than 8 bits a
            channel; left out, they are measured on the training split.
        max_pixels: of one image file; larger ones are skipped.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    out_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT_DIR")]
    channels: int = 3
    num_threads: int = 8
    value_range: tuple[float, float] | None = None
    max_pixels: int = data.MAX_PIXELS


def run(words: Sequence[str]) -> None:
    """``jaxssl prepare SOURCE OUT_DIR``."""
    options = arguments.parse(Prepare, words, prog="jaxssl prepare")
    prepared = data.prepare(
        options.source,
        options.out_dir,
        channels=options.channels,
        num_threads=options.num_threads,
        value_range=options.value_range,
        max_pixels=options.max_pixels,
    )
    for reason in prepared.skipped:
        print(f"skipped {reason}", file=sys.stderr)
    if prepared.value_range is not None:
        low, high = prepared.value_range
        print(f"values {low:g} to {high:g} became 0 to 255 (--value-range)")
    print(
        f"{prepared.directory}: {prepared.written} images written, {len(prepared.skipped)} skipped"
    )
