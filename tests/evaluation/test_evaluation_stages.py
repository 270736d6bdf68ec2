"""Which features an evaluator measures: the pooled ones, every stage beside them, or one stage."""

import json

import numpy as np
import pytest

from jaxssl.evaluation import evaluate, features, knn, linear

LABELS = np.arange(60) % 3
PROBE = linear.LinearConfig(l2_grid=(0.1,), extend=False)
VOTE = knn.KnnConfig(num_neighbors=(1, 5))


def feature_set(seed):
    """Three stages, of which the second tells the classes and the last is what is pooled."""
    random = np.random.default_rng(seed)
    stages = [random.normal(size=(60, width)).astype(np.float32) for width in (4, 6, 5)]
    stages[1][np.arange(60), LABELS] += 20
    return features.FeatureSet(stages[2], tuple(stages), LABELS)


@pytest.fixture
def prepared():
    return evaluate.Prepared(
        train=feature_set(0), test=feature_set(1), protocol={"layer": "pooled"}, subject={}
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
    results = measure(tmp_path, evaluate.Subject(), options, prepared)["results"]
    assert fits == [5, 4, 6]  # pooled, then the stages; the last is the pooled one
    first, second, last = results["stages"]
    assert read(second) == 1.0 and max(read(first), read(last)) < 0.7
    assert last == {name: value for name, value in results.items() if name != "stages"}
    assert first.keys() == last.keys()
    (path,) = (tmp_path / "evaluation").iterdir()
    assert json.loads(path.read_text())["results"]["stages"][1] == json.loads(json.dumps(second))


@EVALUATORS
def test_one_stage_or_none_beside_the_pooled(tmp_path, prepared, fits, measure, options, read):
    whole = measure(tmp_path, evaluate.Subject(), options, prepared)["results"]
    for subject, expected, width in [
        (evaluate.Subject(stage=1), whole["stages"][1], 6),
        (evaluate.Subject(stages=False), whole["stages"][2], 5),
    ]:
        fits.clear()
        results = measure(tmp_path, subject, options, prepared)["results"]
        assert fits == [width] and "stages" not in results
        assert read(results) == read(expected)


def test_encoders_without_stages_have_none(tmp_path, prepared, fits):
    bare = [each._replace(stages=()) for each in (prepared.train, prepared.test)]
    prepared = evaluate.Prepared(*bare, prepared.protocol, prepared.subject)
    subject = evaluate.Subject("pixels")
    assert "stages" not in evaluate.knn_eval(tmp_path, subject, VOTE, prepared)["results"]


def test_stages_do_not_change_the_stamp(tmp_path, prepared):
    with_stages, without = (
        evaluate.knn_eval(tmp_path, evaluate.Subject(stages=stages), VOTE, prepared)["stamp"]
        for stages in (True, False)
    )
    assert with_stages == without
