"""The numbers that stand for a result, and the examples behind them."""

import shutil

import numpy as np
import pytest

from jaxssl.evaluation import correctness, evaluate, few_label, headlines, knn, linear, protocol
from jaxssl.evaluation.subject import Subject

pytestmark = pytest.mark.usefixtures("standard_promotion")
MEASURES = (
    (evaluate.linear_eval, linear.LinearConfig(l2_grid=(0.1,), extend=False)),
    (evaluate.knn_eval, knn.KnnConfig(num_neighbors=(1, 3))),
    (evaluate.few_label_eval, few_label.FewLabelConfig(per_class=(1, 2), fractions=(), draws=2)),
)


@pytest.mark.parametrize("grid", [None, 2])
def test_the_examples_that_were_right_are_those_of_the_accuracy(trained, tmp_path, grid):
    run = shutil.copytree(trained, tmp_path / "run")
    names = []
    for measure, options in MEASURES:
        record = measure(run, Subject(grid=grid, batch_size=8), options)
        place = protocol.path(run, record["protocol"], record["subject"])
        bits = correctness.read(place, record["correct"], record["protocol"]["test_size"])
        for headline in headlines.of(record):
            assert np.mean(bits[headline.correct]) == pytest.approx(headline.value)
            assert headline.half_width >= 0
            names.append(headline.name)
    layer = "pooled" if grid is None else "stage 0 as a 2 x 2 grid"
    assert f"linear probe, {layer}" in names and f"kNN, k=3, {layer}" in names
    of_grids = "" if grid is None else " of grids"
    assert f"few labels{of_grids}, 2 per class" in names
    assert f"linear probe, best {'layer' if grid is None else 'grid'}" in names


RESULTS = {
    "retrieval": ({"mean_average_precision": 0.5, "half_width": 0.1}, ["retrieval, mAP, pooled"]),
    "clustering": (
        {"nmi": 0.5, "accuracy": 0.5},
        ["clustering, NMI, pooled", "clustering, accuracy by assignment, pooled"],
    ),
    "segmentation": (
        {"mean_iou": 0.5, "half_width": 0.1},
        ["segmentation, mean IoU, pooled"],
    ),
    "robustness": ({"mean_accuracy": 0.5}, ["linear probe, mean of corruptions"]),
    "zero-shot": ({"top_1": {"accuracy": 0.5, "half_width": 0.1}}, ["zero-shot"]),
    "text-retrieval": (
        {
            way: {"among 1": {"recall": 0.5, "half_width": 0.1}}
            for way in ("texts_by_image", "images_by_text")
        },
        ["retrieval, texts by image, recall@1", "retrieval, images by text, recall@1"],
    ),
    "finetune": ({"test_accuracy": 0.5, "half_width": 0.1}, ["fine-tuned"]),
    "pretext": ({"trained": {"loss": 1.0}}, []),
}


@pytest.mark.parametrize("evaluator", RESULTS)
def test_every_evaluator_has_its_words(evaluator):
    results, names = RESULTS[evaluator]
    record = {"protocol": {"evaluator": evaluator, "layer": "pooled"}, "results": results}
    found = headlines.of(record)
    assert [each.name for each in found] == names
    assert all(each.value == 0.5 for each in found)


def test_no_corruption_has_no_mean():
    record = {"protocol": {"evaluator": "robustness"}, "results": {"mean_accuracy": None}}
    assert headlines.of(record) == []
