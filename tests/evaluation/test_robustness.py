"""Robustness: of the probe that was kept, on the images that it was judged by."""

import shutil

import numpy as np
import pytest

from jaxssl import data
from jaxssl.evaluation import (
    corruptions,
    evaluate,
    kept_probe,
    linear,
    preparation,
    protocol,
    robustness,
)
from jaxssl.evaluation.subject import Subject

OPTIONS = linear.LinearConfig(l2_grid=(0.1,), extend=False)
SUBJECT = Subject(stages=False)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return shutil.copytree(trained, tmp_path_factory.mktemp("robust") / "run")


@pytest.fixture(scope="module")
def prepared(run):
    return preparation.prepare(run, SUBJECT)


def test_a_probe_must_be_kept_of_the_same_images(run, prepared):
    config = robustness.RobustnessConfig()
    with pytest.raises(ValueError, match=r"a probe must be kept; got none at .* linear robustness"):
        evaluate.robustness_eval(run, SUBJECT, config, prepared)
    evaluate.linear_eval(run, SUBJECT, OPTIONS, prepared)
    other = prepared.protocol | {"test_fingerprint": "00"}
    with pytest.raises(ValueError, match=r"must be of these images; got .* of others"):
        robustness.find_probe(run, other, prepared.subject)


def test_accuracies_are_those_of_the_probe_on_corrupted_images(run, prepared):
    evaluate.linear_eval(run, SUBJECT, OPTIONS, prepared)
    config = robustness.RobustnessConfig(noise_seed=3)
    results = evaluate.robustness_eval(run, SUBJECT, config, prepared)["results"]
    (record,) = (
        each for each in protocol.read(run, 2) if each["protocol"]["evaluator"] == "robustness"
    )
    assert record["results"] == results
    probe = kept_probe.restore_probe(run)
    config_ = data.from_json(probe.encoder.meta["config"]["data"]).matching(probe.encoder.inputs)
    test = config_.open("test")
    images, labels = test.columns["image"], test.labels
    assert results["clean"]["accuracy"] == np.mean(probe.predict(images) == labels)
    for kind, measured in results["kinds"].items():
        for each, strength in zip(measured, corruptions.ALL[kind].strengths, strict=True):
            rows = np.arange(len(images), dtype=np.int32)
            made = np.asarray(corruptions.corrupt(kind, images, rows, strength, 3))
            assert each["strength"] == strength
            assert each["accuracy"] == np.mean(probe.predict(made) == labels)
    corrupted = [
        each["accuracy"] for kind in corruptions.CORRUPTIONS for each in results["kinds"][kind]
    ]
    assert len(corrupted) == 25 and results["mean_accuracy"] == pytest.approx(np.mean(corrupted))
    assert record["protocol"]["kinds"]["noise"]["strengths"] == [0.08, 0.12, 0.18, 0.26, 0.38]


def test_rotation_alone_has_no_mean(run, prepared):
    evaluate.linear_eval(run, SUBJECT, OPTIONS, prepared)
    config = robustness.RobustnessConfig(kinds=("rotation",))
    results = evaluate.robustness_eval(run, SUBJECT, config, prepared)["results"]
    assert results["mean_accuracy"] is None and list(results["kinds"]) == ["rotation"]


def test_what_cannot_be_measured_is_named(run, prepared):
    with pytest.raises(ValueError, match=r"kinds must be one of 'noise', 'blur'.*; got 'fog'"):
        robustness.RobustnessConfig(kinds=("fog",))
    with pytest.raises(ValueError, match="noise_seed must be in"):
        robustness.RobustnessConfig(noise_seed=-1)
    with pytest.raises(ValueError, match="must be trained, whose probe is kept; got random"):
        robustness.find_probe(run, prepared.protocol, prepared.subject | {"encoder": "random"})
    evaluate.linear_eval(run, SUBJECT, OPTIONS, prepared)
    probe = kept_probe.restore_probe(run)
    fed = [{"name": "tokens", "shape": [16], "dtype": "int32"}]
    probe.encoder.meta["inputs"] = fed
    with pytest.raises(ValueError, match="must be fed one square image; got tokens"):
        robustness.evaluate(probe, None, robustness.RobustnessConfig())
