"""Classes that only one of the splits has: said by name, and accuracies over the others beside."""

import json

import numpy as np
import pytest

from jaxssl.evaluation import classes, evaluate, features, few_label, knn, linear, preparation
from jaxssl.evaluation import summary as summaries
from jaxssl.evaluation.subject import Subject

NAMES = ("bag", "boot", "coat", "dress")
TRAIN_LABELS = np.repeat([0, 1, 3], 12)  # no coat
TEST_LABELS = np.repeat([0, 1, 2], 4)  # no dress, and coats that nobody can know
PROBE = linear.LinearConfig(l2_grid=(0.1,), extend=False)
FEW = few_label.FewLabelConfig(per_class=(10,), fractions=(), draws=2)


def feature_set(labels, seed):
    rows = np.random.default_rng(seed).normal(size=(len(labels), 5))
    rows[np.arange(len(labels)), labels] += 20
    return features.FeatureSet({"pooled": rows.astype(np.float32)}, labels)


def prepared_of(train_labels, test_labels):
    return preparation.Prepared(
        train=feature_set(train_labels, 0),
        test=feature_set(test_labels, 1),
        main="pooled",
        stages=(),
        protocol={"layer": "pooled", "dataset": "clothes", "seed": 0, "test_size": len(test_labels)}
        | {"train_split": "train", "test_split": "test"},
        subject={"encoder": "trained", "step": 7},
        class_names=NAMES,
    )


EVALUATORS = {
    "linear": (evaluate.linear_eval, PROBE, lambda results: [results, results["known"]]),
    "knn": (
        evaluate.knn_eval,
        knn.KnnConfig((3,)),
        lambda results: [results["k=3"], results["k=3"]["known"]],
    ),
    "few-label": (
        evaluate.few_label_eval,
        FEW,
        lambda results: [
            results["best"]["10 per class"],
            results["layers"]["pooled"]["10 per class"]["known"],
        ],
    ),
}


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_accuracy_over_known_classes_stands_beside(tmp_path, evaluator):
    measure, options, read = EVALUATORS[evaluator]
    record = measure(tmp_path, Subject(), options, prepared_of(TRAIN_LABELS, TEST_LABELS))
    whole, known = read(record["results"])
    name = "accuracy" if evaluator == "knn" else "test_accuracy"
    assert whole[name] == pytest.approx(8 / 12)
    assert (known["accuracy"], known["num_test"]) == (1.0, 8)
    assert record["results"]["unseen_classes"] == ["coat"]
    assert record["results"]["untested_classes"] == ["dress"]
    assert classes.sentences(json.loads(json.dumps(record))) == [
        "training lacks a class of the test split, coat: 4 of 12 test images count as errors, "
        "whatever is predicted; the accuracy over known classes stands beside",
        "the test split lacks a class of training, dress: the accuracy says nothing of them",
    ]


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_splits_of_the_same_classes_say_nothing_of_them(tmp_path, evaluator):
    measure, options, _ = EVALUATORS[evaluator]
    record = measure(tmp_path, Subject(), options, prepared_of(TRAIN_LABELS, TRAIN_LABELS))
    text = json.dumps(record["results"])
    assert "known" not in text and "unseen" not in text and "untested" not in text
    assert classes.sentences(record) == []


def test_the_summary_shows_known_classes_in_a_line_of_their_own(tmp_path):
    prepared = prepared_of(TRAIN_LABELS, TEST_LABELS)
    records = [
        evaluate.linear_eval(tmp_path, Subject(), PROBE, prepared),
        evaluate.few_label_eval(tmp_path, Subject(), FEW, prepared),
    ]
    summary = json.loads(json.dumps(summaries.summarise(records)))
    assert summary["all_labels"]["known"] == {"trained": 100.0}
    lines = summaries.table(summary)
    assert lines[1].split() == ["all", "labels", "66.67", "-", "-"]
    assert lines[2].split() == ["known", "classes", "100.00", "-", "-"]
    assert lines[4].split() == ["known", "classes", "100.00", "-", "-"]
    assert sum("training lacks a class of the test split, coat:" in line for line in lines) == 1


def test_splits_without_a_common_class_are_refused():
    with pytest.raises(
        ValueError,
        match=r"must share a class; got bag, boot in training and coat, dress in the test split\.",
    ):
        classes.compare(np.array([0, 1]), np.array([3, 2]), NAMES)


def test_of_many_classes_ten_are_named():
    found = classes.compare(np.array([99]), np.arange(100))
    record = {"protocol": {"test_size": 100}, "results": found.to_json()}
    (sentence,) = classes.sentences(record)
    assert (
        "lacks 99 classes of the test split, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 89 more: 99 of 100"
        in sentence
    )


def test_usual_budgets_that_do_not_fit_are_left_out_and_asked_for_ones_refused(tmp_path, capsys):
    prepared = prepared_of(TRAIN_LABELS, TRAIN_LABELS)
    options = few_label.FewLabelConfig(draws=2)
    record = evaluate.few_label_eval(tmp_path, Subject(), options, prepared)
    assert list(record["results"]["best"]) == ["1 per class", "5 per class", "10 per class", "10 %"]
    assert record["protocol"]["per_class"] == (1, 5, 10)
    assert record["protocol"]["fractions"] == (0.1,)
    assert (
        "jaxssl: 100 per class, 1 % left out of the few labels: classes have 12 training images\n"
    ) == capsys.readouterr().err
    for asked, message in (
        ({"per_class": (100,)}, "every class must have 100 images; class 0 has 12"),
        ({"fractions": (0.01,)}, "an image of the largest class at least; got 0.01 of 12"),
    ):
        options = few_label.FewLabelConfig(**asked, draws=2)
        with pytest.raises(ValueError, match=message):
            evaluate.few_label_eval(tmp_path, Subject(), options, prepared)


def test_usual_budgets_all_fit_where_classes_are_large():
    config = few_label.FewLabelConfig().fit_to(np.repeat(np.arange(3), 100))
    assert (config.per_class, config.fractions) == ((1, 5, 10, 100), (0.01, 0.1))
    alone = few_label.FewLabelConfig(per_class=(), fractions=None)
    with pytest.raises(ValueError, match="must name a budget; got none"):
        alone.fit_to(np.repeat(np.arange(3), 2))
