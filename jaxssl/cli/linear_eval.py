"""``linear-eval RUN``: accuracy of a linear classifier on the frozen features."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from jaxssl.cli import arguments, printing
from jaxssl.evaluation import evaluate, linear
from jaxssl.evaluation import subject as subjects


@dataclasses.dataclass(frozen=True)
class LinearEval:
    """Fits a linear classifier to frozen features, to convergence; writes RUN/evaluation/.

    Attributes:
        run: run directory.
        subject: what is evaluated.
        options: the protocol of the probe.
    """

    run: arguments.RunPath
    subject: Annotated[subjects.Subject, tyro.conf.arg(name="")] = subjects.Subject()
    options: Annotated[linear.LinearConfig, tyro.conf.arg(name="")] = linear.LinearConfig()


def run(words: Sequence[str]) -> None:
    """``jaxssl linear-eval RUN``."""
    options = arguments.parse(LinearEval, words, prog="jaxssl linear-eval")
    record = evaluate.linear_eval(options.run, options.subject, options.options)
    printing.print_linear(record)
    printing.print_remarks([record])
