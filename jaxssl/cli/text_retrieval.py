"""``text-retrieval RUN``: find images by their texts, and texts by their images."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import text_retrieval


@dataclasses.dataclass(frozen=True)
class TextRetrieval:
    """Searches the test split by its texts and by its images; writes RUN/evaluation/.

    Attributes:
        run: run directory, of an encoder of images and texts.
        options: what is measured.
    """

    run: arguments.RunPath
    options: Annotated[text_retrieval.Options, tyro.conf.arg(name="")] = text_retrieval.Options()


def run(words: Sequence[str]) -> None:
    """``jaxssl text-retrieval RUN``."""
    options = arguments.parse(TextRetrieval, words, prog="jaxssl text-retrieval")
    results = text_retrieval.measure(options.run, options.options)["results"]
    for name, count in (("texts_by_image", "num_texts"), ("images_by_text", "num_images")):
        parts = ", ".join(
            f"{among} {100 * found['recall']:.2f} % ± {100 * found['half_width']:.2f} "
            f"(chance {100 * found['chance']:.2f})"
            for among, found in results[name].items()
        )
        print(f"{name.replace('_', ' ')}, of {results[count]:,}: {parts}")
