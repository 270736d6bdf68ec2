"""``search RUN QUERY FEATURES``: the images of a file of features that are nearest to one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import searching


@dataclasses.dataclass(frozen=True)
class Search:
    """Prints the nearest images by cosine similarity of features, the nearest first.

    Attributes:
        run: run directory, of the checkpoint that made the features.
        query: an image.
        features: what jaxssl embed wrote.
        count: of images.
    """

    run: arguments.RunPath
    query: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="QUERY")]
    features: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FEATURES")]
    count: int = 10


def run(words: Sequence[str]) -> None:
    """``jaxssl search RUN QUERY FEATURES``."""
    options = arguments.parse(Search, words, prog="jaxssl search")
    found = searching.search(options.run, options.query, options.features, count=options.count)
    for similarity, path in found:
        print(f"{similarity:.4f}  {path}")
