"""The numbers of a result file that stand for it, in words that all evaluators share.

Tables of runs (``runs.comparison``) and pages (``report``) read results by them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from jaxssl.evaluation import correctness, layers


class Headline(NamedTuple):
    """One number of a result.

    Attributes:
        name: what was measured; the same of every encoder.
        value: in [0, 1], larger is better.
        half_width: of its 95 % interval; None where there is none.
        note: the layer, where the name does not tell it.
        correct: what the bits of it are called (``correctness``); None where there are none.
        is_chosen: the layer was chosen among several without the test split, so that it is no part
            of what must agree.
    """

    name: str
    value: float
    half_width: float | None
    note: str = ""
    correct: str | None = None
    is_chosen: bool = False


def of(record: Mapping) -> list[Headline]:
    """The headlines of a result file, the one to quote first; none of an evaluator without any.

    Args:
        record: as ``protocol.read`` gives it.
    """
    read = _READERS.get(record["protocol"]["evaluator"])
    return [] if read is None else list(read(record))


def _linear(record: Mapping) -> Iterator[Headline]:
    results, layer = record["results"], record["protocol"]["layer"]
    if best := results.get("best"):
        yield Headline(
            f"linear probe, best {'grid' if _is_grid(layer) else 'layer'}",
            best["test_accuracy"],
            best["half_width"],
            best["layer"],
            correctness.name_of(best["layer"]),
            is_chosen=True,
        )
    yield Headline(
        f"linear probe, {layer}",
        results["test_accuracy"],
        results["half_width"],
        correct=correctness.name_of(layer),
    )


def _knn(record: Mapping) -> Iterator[Headline]:
    layer = record["protocol"]["layer"]
    for name, result in record["results"].items():
        if name.startswith("k="):
            yield Headline(
                f"kNN, {name}, {layer}",
                result["accuracy"],
                result["half_width"],
                correct=correctness.name_of(layer, name),
            )


def _few_label(record: Mapping) -> Iterator[Headline]:
    of_grids = " of grids" if _is_grid(record["protocol"]["layer"]) else ""
    for budget, best in record["results"]["best"].items():
        yield Headline(
            f"few labels{of_grids}, {budget}",
            best["test_accuracy"],
            best["half_width"],
            best["layer"],
            budget,
            is_chosen=True,
        )


def _finetune(record: Mapping) -> Iterator[Headline]:
    results = record["results"]
    layer = layers.POOLED.name
    yield Headline("fine-tuned", results["test_accuracy"], results["half_width"], correct=layer)


def _retrieval(record: Mapping) -> Iterator[Headline]:
    results = record["results"]
    name = f"retrieval, mAP, {record['protocol']['layer']}"
    yield Headline(name, results["mean_average_precision"], results["half_width"])


def _clustering(record: Mapping) -> Iterator[Headline]:
    results, layer = record["results"], record["protocol"]["layer"]
    yield Headline(f"clustering, NMI, {layer}", results["nmi"], None)
    yield Headline(f"clustering, accuracy by assignment, {layer}", results["accuracy"], None)


def _segmentation(record: Mapping) -> Iterator[Headline]:
    results, layer = record["results"], record["protocol"]["layer"]
    yield Headline(f"segmentation, mean IoU, {layer}", results["mean_iou"], results["half_width"])


def _robustness(record: Mapping) -> Iterator[Headline]:
    results = record["results"]
    if results["mean_accuracy"] is not None:
        yield Headline("linear probe, mean of corruptions", results["mean_accuracy"], None)


def _zero_shot(record: Mapping) -> Iterator[Headline]:
    for name, words in (("top_1", "zero-shot"), ("top_5", "zero-shot, among five")):
        if name in record["results"]:
            result = record["results"][name]
            yield Headline(words, result["accuracy"], result["half_width"], correct=name)


def _text_retrieval(record: Mapping) -> Iterator[Headline]:
    for way in ("texts_by_image", "images_by_text"):
        first = record["results"][way]["among 1"]
        name = f"retrieval, {way.replace('_', ' ')}, recall@1"
        yield Headline(name, first["recall"], first["half_width"])


def _is_grid(layer: str) -> bool:
    return layer.endswith(" grid")


_READERS: dict[str, Callable[[Mapping], Iterator[Headline]]] = {
    "linear": _linear,
    "knn": _knn,
    "few-label": _few_label,
    "finetune": _finetune,
    "retrieval": _retrieval,
    "clustering": _clustering,
    "segmentation": _segmentation,
    "robustness": _robustness,
    "zero-shot": _zero_shot,
    "text-retrieval": _text_retrieval,
}
