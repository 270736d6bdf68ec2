"""``embed RUN IMAGES``: writes the features of any images into a file, with their paths."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import embedding


@dataclasses.dataclass(frozen=True)
class Embed:
    """Writes the features of images into a file; after a kill the same command goes on.

    Attributes:
        run: run directory.
        images: an image, or a folder of images at any depth; with --split a data set, as
            --data-path has it.
        out: file to write, .npz, .parquet or .npy; paths stand in it, of .npy in a .json beside.
        options: what is made.
    """

    run: arguments.RunPath
    images: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="IMAGES")]
    out: Path
    options: Annotated[embedding.EmbedConfig, tyro.conf.arg(name="")] = embedding.EmbedConfig()


def run(words: Sequence[str]) -> None:
    """``jaxssl embed RUN IMAGES``."""
    options = arguments.parse(Embed, words, prog="jaxssl embed")
    made = embedding.embed(options.run, options.images, options.out, options.options)
    resumed = f", {made.num_resumed} blocks from before" if made.num_resumed else ""
    print(
        f"{options.out}: {made.num_images:,} images x {made.num_features:,} features, "
        f"{made.layer}{resumed}"
    )
    if left_out := made.unreadable:
        print(
            f"jaxssl: left out, as unreadable: {len(left_out):,} images such as {left_out[0]}",
            file=sys.stderr,
        )
