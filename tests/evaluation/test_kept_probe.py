"""The probe that is kept: bit for bit the evaluation's, and no other is taken for it."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import sklearn.linear_model

import jaxssl
from jaxssl import checkpoints
from jaxssl.evaluation import evaluate, kept_probe, linear, preparation, splits
from jaxssl.evaluation.subject import Subject

WHOLE = Subject()
OPTIONS = linear.LinearConfig(l2_grid=(0.1,), extend=False)
NAMES = ("bag", "boot", "coat", "dress")


def keep(run, subject=WHOLE):
    """Evaluates; returns what the fit of the main layer was."""
    fits, fit = [], linear.fit

    def remembered(*arguments, **options):
        fits.append(fit(*arguments, **options))
        return fits[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "fit", remembered)
        evaluate.linear_eval(run, subject, OPTIONS)
    return fits[0]


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return shutil.copytree(trained, tmp_path_factory.mktemp("kept") / "run")


@pytest.fixture(scope="module")
def kept(run):
    return keep(run)


@pytest.fixture(scope="module")
def test_images(run):
    return splits.open_splits(checkpoints.read_meta(run)).test.columns["image"]


@pytest.fixture
def copied(run, kept, tmp_path):
    """A run of its own with a probe, and the probe's file."""
    own = shutil.copytree(run, tmp_path / "run")
    (file,) = own.glob("evaluation/step-2/*/*.safetensors")
    return own, file


def test_predictions_are_the_evaluations_bit_for_bit(run, kept, test_images):
    probe = jaxssl.restore_probe(run)
    np.testing.assert_array_equal(probe.predict(test_images), kept.predictions)
    for name in ("classes", "mean", "scale", "weights", "bias"):
        np.testing.assert_array_equal(getattr(probe, name), getattr(kept, name))
    prepared = preparation.prepare(run, Subject())
    np.testing.assert_array_equal(probe.features(test_images), prepared.test.layers["pooled"])


def test_probabilities_are_those_of_the_softmax_of_scikit_learn(run, kept, test_images):
    probe = jaxssl.restore_probe(run)
    peer = sklearn.linear_model.LogisticRegression()
    peer.classes_, peer.coef_, peer.intercept_ = probe.classes, probe.weights.T, probe.bias
    rows = (probe.features(test_images) - probe.mean) * probe.scale
    np.testing.assert_allclose(probe(test_images), peer.predict_proba(rows), atol=1e-12)
    one, as_floats = probe(test_images[:1]), probe(np.float32(test_images) / 255)
    np.testing.assert_allclose(one[0], probe(test_images)[0], atol=1e-5)
    np.testing.assert_allclose(as_floats, probe(test_images), atol=1e-5)


def test_more_images_than_a_batch_are_read_in_several(run, kept, test_images):
    whole = jaxssl.restore_probe(run)(test_images)
    keep(run, Subject(batch_size=8))
    probe = jaxssl.restore_probe(run)
    assert probe.about.reading.batch_size == 8
    many = np.concatenate([test_images, test_images[:3]])
    np.testing.assert_allclose(probe(many), np.concatenate([whole, whole[:3]]), atol=1e-5)
    keep(run)


def test_classes_have_names_where_the_data_set_has(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "run")
    opened = splits.open_splits(checkpoints.read_meta(own))
    for place in own.glob("evaluation/step-2/*/*"):
        place.unlink()
    arrays = {
        f"{name}_{kind}": source.columns[column]
        for name, source in (("train", opened.train), ("test", opened.test))
        for kind, column in (("images", "image"), ("labels", "label"))
    }
    np.savez(tmp_path / "named.npz", class_names=np.array(NAMES), **arrays)
    keep(own, Subject(data_path=str(tmp_path / "named.npz")))
    probe = jaxssl.restore_probe(own)
    images = opened.test.columns["image"]
    assert probe.class_names == NAMES
    assert probe.names(images) == [NAMES[label] for label in probe.predict(images)]
    (result,) = own.glob("evaluation/step-2/*/*.json")
    record = json.loads(result.read_text())
    assert record["results"]["class_names"] == list(NAMES)
    assert (probe.about.stamp, probe.about.protocol) == (record["stamp"], record["protocol"])


def test_classes_without_names_are_called_by_their_labels(run, kept, test_images):
    probe = jaxssl.restore_probe(run)
    assert probe.names(test_images) == list(map(str, kept.predictions))


def test_a_layer_of_its_own_is_kept_in_a_file_of_its_own(copied, test_images):
    own, file = copied
    fitted = keep(own, Subject(stage=0, grid=2))
    with pytest.raises(
        ValueError, match=r"one probe of step 2; got \S+-grid\.safetensors, evaluation"
    ):
        jaxssl.restore_probe(own)
    place = file.with_name("linear-trained-stage-0-as-a-2-x-2-grid.safetensors")
    probe = jaxssl.restore_probe(own, place)
    np.testing.assert_array_equal(probe.predict(test_images), fitted.predictions)
    assert jaxssl.restore_probe(own, file).weights.shape != probe.weights.shape


def test_only_the_trained_encoder_has_a_probe_that_is_kept(copied):
    own, file = copied
    file.unlink()
    keep(own, Subject("pixels"))
    keep(own, Subject("random", stages=False))
    with pytest.raises(ValueError, match=r"must hold a probe; got none\. jaxssl linear-eval "):
        jaxssl.restore_probe(own)


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def renamed(content):
    return content.replace(b"pooled", b"polled")


def foreign(content):
    return safetensors.numpy.save({"weights": np.ones(3)}, {"format": "pt"})


@pytest.mark.parametrize("damage", [cut, flipped, renamed, foreign, lambda content: b"{}"])
def test_a_damaged_probe_is_one_clear_line(copied, damage):
    own, file = copied
    file.write_bytes(damage(file.read_bytes()))
    message = r"^restore_probe: .*-trained.safetensors must be a probe, as it was .*\. Delete it"
    with pytest.raises(ValueError, match=message) as raised:
        jaxssl.restore_probe(own)
    assert "\n" not in str(raised.value)


def test_a_probe_of_other_weights_is_refused(copied):
    own, file = copied
    (manifest,) = own.glob(f"checkpoints/2/{checkpoints.MANIFEST}")
    sums = json.loads(manifest.read_text())
    name = next(name for name in sums if name.startswith("encoder/"))
    manifest.write_text(json.dumps(sums | {name: "0" * 64}))
    with pytest.raises(ValueError, match=r"must be of the encoder of .*; got one that was fitted"):
        jaxssl.restore_probe(own, file)


def test_what_the_encoder_refuses_the_probe_refuses(run, kept, test_images):
    probe = jaxssl.restore_probe(run)
    with pytest.raises(ValueError, match="image must have 1 channel, last"):
        probe(np.repeat(test_images, 3, axis=-1))


def test_a_killed_save_leaves_the_old_probe(copied, monkeypatch):
    own, file = copied
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_probe.files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        keep(own)
    assert file.read_bytes() == before
