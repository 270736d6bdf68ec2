"""Which features an evaluator measures: the pooled ones, every stage beside them, or one stage."""

import dataclasses
import json

import numpy as np
import pytest

from jaxssl.evaluation import evaluate, features, few_label, knn, linear, preparation, protocol
from jaxssl.evaluation.subject import Subject

LABELS = np.arange(60) % 3
PROBE = linear.LinearConfig(l2_grid=(0.1,), extend=False)
VOTE = knn.KnnConfig(num_neighbors=(1, 5))


def feature_set(seed):
    """Three stages, of which the second tells the classes and the last is what is pooled."""
    random = np.random.default_rng(seed)
    stages = [random.normal(size=(60, width)).astype(np.float32) for width in (4, 6, 5)]
    stages[1][np.arange(60), LABELS] += 20
    layers = {f"stage {number}": stage for number, stage in enumerate(stages)}
    return features.FeatureSet({"pooled": stages[2]} | layers, LABELS)


@pytest.fixture
def prepared():
    return preparation.Prepared(
        train=feature_set(0),
        test=feature_set(1),
        main="pooled",
        stages=("stage 0", "stage 1", "stage 2"),
        protocol={"layer": "pooled", "dataset": "clothes", "seed": 0}
        | {"train_split": "train", "test_split": "test"},
        subject={"encoder": "trained", "step": 7},
    )


@pytest.fixture
def fits(monkeypatch):
    """Widths of the features of every fit that was made."""
    widths = []
    fit, vote = linear.fit, knn.evaluate

    def counted(measure):
        def call(train, *arguments, **options):
            widths.append(train.shape[1])
            return measure(train, *arguments, **options)

        return call

    monkeypatch.setattr(linear, "fit", counted(fit))
    monkeypatch.setattr(knn, "evaluate", counted(vote))
    return widths


EVALUATORS = pytest.mark.parametrize(
    ("measure", "options", "read"),
    [
        (evaluate.linear_eval, PROBE, lambda results: results["test_accuracy"]),
        (evaluate.knn_eval, VOTE, lambda results: results["k=5"]["accuracy"]),
    ],
)


@EVALUATORS
def test_every_stage_is_measured_and_the_pooled_one_once(
    tmp_path, prepared, fits, measure, options, read
):
    results = measure(tmp_path, Subject(), options, prepared)["results"]
    assert fits == [5, 4, 6]  # pooled, then the stages; the last is the pooled one
    first, second, last = results["stages"]
    assert read(second) == 1.0 and max(read(first), read(last)) < 0.7
    assert [each["layer"] for each in (results, *results["stages"])] == list(prepared.train.layers)
    assert [each["num_features"] for each in results["stages"]] == [4, 6, 5]
    own = {name: value for name, value in results.items() if name not in ("stages", "best")}
    assert last == own | {"layer": "stage 2"} and first.keys() == last.keys()
    (record,) = protocol.read(tmp_path, 7)
    assert record["results"]["stages"][1] == json.loads(json.dumps(second))


def test_few_labels_fit_the_same_features_once(tmp_path, prepared, monkeypatch):
    widths = []
    fit = few_label.evaluate

    def counted(train, *arguments, **options):
        widths.append(train.shape[1])
        return fit(train, *arguments, **options)

    monkeypatch.setattr(few_label, "evaluate", counted)
    options = few_label.FewLabelConfig(per_class=(2,), fractions=(), draws=1)
    results = evaluate.few_label_eval(tmp_path, Subject(), options, prepared)["results"]
    assert widths == [5, 4, 6]
    assert results["best"]["2 per class"]["chosen_from"] == 3
    assert results["layers"].keys() == prepared.train.layers.keys()
    assert results["layers"]["stage 2"] == results["layers"]["pooled"]


@EVALUATORS
def test_one_layer_alone(tmp_path, prepared, fits, measure, options, read):
    whole = measure(tmp_path, Subject(), options, prepared)["results"]
    fits.clear()
    alone = dataclasses.replace(prepared, main="stage 1", stages=())
    results = measure(tmp_path, Subject(stage=1), options, alone)["results"]
    assert fits == [6] and not {"stages", "best"} & results.keys()
    assert read(results) == read(whole["stages"][1])


def test_the_held_out_part_chooses_the_best_layer(tmp_path, prepared):
    results = evaluate.linear_eval(tmp_path, Subject(), PROBE, prepared)["results"]
    best = results["best"]
    assert best["layer"] == "stage 1" and best["chosen_from"] == 3  # pooled is stage 2
    assert best["test_accuracy"] == 1.0 and best["holdout_accuracy"] == 1.0

    def layer(name, held_out, test):
        candidates = [{"holdout_accuracy": 0.1}, {"holdout_accuracy": held_out}]
        measured = {"test_accuracy": test, "half_width": 0.1, "candidates": candidates}
        return measured | {"layer": name, "num_features": 8}

    # By the test split it would be stage 1.
    stages = [layer("stage 0", 0.8, 0.5), layer("stage 1", 0.7, 0.9)]
    best = evaluate.best_held_out(layer("pooled", 0.6, 0.6) | {"stages": stages})
    assert (best["layer"], best["test_accuracy"], best["holdout_accuracy"]) == ("stage 0", 0.5, 0.8)


def test_a_layer_is_described_by_its_size(prepared):
    assert prepared.described("stage 1") == "stage 1, 6 features"


def test_stages_do_not_change_the_stamp(tmp_path, prepared):
    stamps = [
        evaluate.knn_eval(tmp_path, Subject(), VOTE, each)["stamp"]
        for each in (prepared, dataclasses.replace(prepared, stages=()))
    ]
    assert stamps[0] == stamps[1]


def test_a_usual_k_that_does_not_fit_is_left_out_and_one_that_was_asked_for_is_refused(
    prepared, tmp_path, capsys
):
    subject = Subject()
    record = evaluate.knn_eval(tmp_path, subject, knn.KnnConfig(), prepared)
    assert {name for name in record["results"] if name.startswith("k=")} == {"k=20"}
    assert tuple(record["protocol"]["num_neighbors"]) == (20,)
    assert "k = 200 left out of the nearest neighbours: there are 60 training" in (
        capsys.readouterr().err
    )
    with pytest.raises(ValueError, match=r"num_neighbors must be in \[1, 60\]; got \(200,\)"):
        evaluate.knn_eval(tmp_path, subject, knn.KnnConfig((200,)), prepared)
    assert knn.KnnConfig().fit_to(60000).num_neighbors == (20, 200)
    assert knn.KnnConfig().fit_to(7).num_neighbors == (1,)
