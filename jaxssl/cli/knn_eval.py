"""``knn-eval RUN``: accuracy of nearest neighbours among the frozen features."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments, printing
from jaxssl.evaluation import evaluate, knn
from jaxssl.evaluation import subject as subjects


@dataclasses.dataclass(frozen=True)
class KnnEval:
    """Classifies by the nearest neighbours of frozen features; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        subject: what is evaluated.
        options: the protocol of the vote.
    """

    run: arguments.RunPath
    subject: Annotated[subjects.Subject, tyro.conf.arg(name="")] = subjects.Subject()
    options: Annotated[knn.KnnConfig, tyro.conf.arg(name="")] = knn.KnnConfig()


def run(words: Sequence[str]) -> None:
    """``jaxssl knn-eval RUN``."""
    options = arguments.parse(KnnEval, words, prog="jaxssl knn-eval")
    record = evaluate.knn_eval(options.run, options.subject, options.options)
    printing.print_knn(record)
    printing.print_remarks([record])
