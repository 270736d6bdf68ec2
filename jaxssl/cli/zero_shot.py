"""``zero-shot RUN``: classify images by the names of classes, without a label."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments
from jaxssl.evaluation import zero_shot


@dataclasses.dataclass(frozen=True)
class ZeroShot:
    """Classifies test images by sentences with the names of their classes; writes RUN/evaluation/.

    Attributes:
        run: run directory, of an encoder of images and texts.
        options: what is measured.
    """

    run: arguments.RunPath
    options: Annotated[zero_shot.Options, tyro.conf.arg(name="")] = zero_shot.Options()


def run(words: Sequence[str]) -> None:
    """``jaxssl zero-shot RUN``."""
    options = arguments.parse(ZeroShot, words, prog="jaxssl zero-shot")
    record = zero_shot.measure(options.run, options.options)
    results, described = record["results"], record["protocol"]
    count = len(described["prompts"])
    said = f"{len(described['classes'])} classes, {count} prompt{'s' * (count > 1)}"
    for top in zero_shot.TOP:
        if found := results.get(f"top_{top}"):
            print(
                f"zero-shot top {top}: {100 * found['accuracy']:.2f} % ± "
                f"{100 * found['half_width']:.2f} (chance {100 * found['chance']:.2f} %; {said})"
            )
