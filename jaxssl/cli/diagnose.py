"""``diagnose RUN``: spectra, views, and how alike stages and runs are."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import tyro

from jaxssl import words as words_lib
from jaxssl.cli import arguments
from jaxssl.evaluation import diagnosis

_COLUMNS = {
    "num_features": ("features", ",d"),
    "rank": ("RankMe", ".1f"),
    "decay": ("alpha-ReQ", ".2f"),
    "lidar": ("LiDAR", ".1f"),
    "alignment": ("alignment", ".3f"),
    "uniformity": ("uniformity", ".2f"),
}


@dataclasses.dataclass(frozen=True)
class Diagnose:
    """Measures features without labels; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        options: what is diagnosed.
    """

    run: arguments.RunPath
    options: Annotated[diagnosis.Options, tyro.conf.arg(name="")] = diagnosis.Options()


def run(words: Sequence[str]) -> None:
    """``jaxssl diagnose RUN``."""
    options = arguments.parse(Diagnose, words, prog="jaxssl diagnose")
    record = diagnosis.diagnose(options.run, options.options)
    described, results = record["protocol"], record["results"]
    print(f"{described['num_images']:,} images of {described['test_split']}, no label read")
    heads = ["", *(head for head, _ in _COLUMNS.values())]
    print(words_lib.table([heads, *_measured(results["layers"])], numbers=True))
    print("linear CKA, debiased")
    names = results["cka"]["layers"]
    of_own = zip(names, results["cka"]["matrix"], strict=True)
    of_others = ((f"{each['run']}, {each['layer']}", each["cka"]) for each in results["beside"])
    rows = [[name, *(f"{value:.3f}" for value in row)] for name, row in (*of_own, *of_others)]
    print(words_lib.table([["", *names], *rows], numbers=True))


def _measured(layers: Mapping[str, Mapping[str, float]]) -> Iterator[list[str]]:
    """A row for each layer; a measurement that it does not have is a hyphen."""
    for layer, values in layers.items():
        yield [
            layer,
            *(
                format(values[name], form) if name in values else "-"
                for name, (_, form) in _COLUMNS.items()
            ),
        ]
