"""``retrieval RUN``: find images by their texts, and texts by their images."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import retrieval


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Searches the test split by its texts and by its images; writes RUN/evaluation/.

    Attributes:
        run: run directory, of an encoder of images and texts.
        options: what is measured.
    """

    run: arguments.RunPath
    options: Annotated[retrieval.Options, tyro.conf.arg(name="")] = retrieval.Options()


def run(words: Sequence[str]) -> None:
    """``jaxssl retrieval RUN``."""
    options = arguments.parse(Retrieval, words, prog="jaxssl retrieval")
    results = retrieval.measure(options.run, options.options)["results"]
    for name, count in (("texts_by_image", "num_texts"), ("images_by_text", "num_images")):
        parts = ", ".join(
            f"{among} {100 * found['recall']:.2f} % ± {100 * found['half_width']:.2f} "
            f"(chance {100 * found['chance']:.2f})"
            for among, found in results[name].items()
        )
        print(f"{name.replace('_', ' ')}, of {results[count]:,}: {parts}")
