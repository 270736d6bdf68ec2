"""Linear segmentation of a run, as a user calls it, beside scikit-learn."""

import json
import shutil

import jax
import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
from PIL import Image

from jaxssl import checkpoints, cli
from jaxssl.data import masks
from jaxssl.evaluation import dense, drawn_pixels, linear, segmentation

SIZE, CELL, CLASSES = 16, 4, ("ground", "dark", "bright")
BRIEF = ("--l2-grid", "0.01", "--no-extend", "--num-pixels", "24", "--batch-size", "16")

pytestmark = pytest.mark.usefixtures("standard_promotion")


def scenes(count, seed):
    """Images [N, 16, 16] with two squares of 8 pixels each, and their masks."""
    generator = np.random.default_rng(seed)
    images = generator.integers(90, 110, (count, SIZE, SIZE), dtype=np.uint8)
    found = np.zeros_like(images)
    for image, mask in zip(images, found):
        places = generator.permutation(4)[:2]
        for value, place in enumerate(places, start=1):
            top, left = 8 * (place // 2), 8 * (place % 2)
            square = (slice(top, top + 8), slice(left, left + 8))
            image[square] += np.uint8(140 * (value == 2))
            image[square] -= np.uint8(80 * (value == 1))
            mask[square] = value
    return images, found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes") / "scenes"
    for split, count, seed in (("train", 20, 0), ("test", 6, 1)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for row, (image, mask) in enumerate(zip(*scenes(count, seed))):
            Image.fromarray(image).save(root / split / "images" / f"{row:02d}.png")
            mask[0, 0] = 255 if split == "test" else mask[0, 0]
            masks.write(root / split / "masks" / f"{row:02d}.png", mask)
    (root / "classes.txt").write_text("\n".join(CLASSES))
    return root


@pytest.fixture(scope="module")
def run(trained, folder, tmp_path_factory):
    """A run that is segmented, by its encoder and by pixels."""
    own = shutil.copytree(trained, tmp_path_factory.mktemp("segmented") / "run")
    words = ["segment", str(own), "--data-path", str(folder), "--encoders", "trained", "pixels"]
    assert cli.main([*words, *BRIEF, "--num-shown", "6"]) == 0
    return own


def result_of(run, encoder):
    (file,) = run.glob(f"evaluation/step-2/*/segmentation-{encoder}-tokens.json")
    return json.loads(file.read_text()), file.with_suffix("")


def shown(folder, kind):
    files = sorted(folder.glob(f"*-{kind}.png"))
    return np.stack([masks.read(file, SIZE, what=kind) for file in files])


@pytest.mark.parametrize("encoder", ["trained", "pixels"])
def test_results_are_those_of_the_masks_that_are_written(run, encoder):
    record, folder = result_of(run, encoder)
    results = record["results"]
    _, expected = scenes(6, 1)
    expected[:, 0, 0] = 255
    truth, predicted = (shown(folder, kind) for kind in ("truth", "predicted"))
    np.testing.assert_array_equal(truth, expected)
    counted = truth != 255
    true, made = truth[counted], predicted[counted]
    by_class = sklearn.metrics.jaccard_score(true, made, average=None, labels=range(3))
    np.testing.assert_allclose(list(results["class_iou"].values()), by_class)
    assert tuple(results["class_iou"]) == CLASSES
    assert results["mean_iou"] == pytest.approx(by_class.mean())
    assert results["pixel_accuracy"] == pytest.approx(np.mean(true == made))
    assert results["majority_accuracy"] == pytest.approx(np.mean(true == 0))
    assert results["pixel_accuracy"] > results["majority_accuracy"]
    assert results["converged"] and 0 <= results["half_width"] < 0.5
    assert results["num_pixels"] == 20 * 24


def test_the_classifier_is_that_of_scikit_learn(run, folder):
    """Fitted to tokens that are interpolated first; the evaluation interpolates logits."""
    record, where = result_of(run, "trained")
    encoder = jax.jit(checkpoints.restore_encoder(run))
    (images, truth), (test, _) = scenes(20, 0), scenes(6, 1)

    def features(images):
        cells = encoder(images[..., None]).tokens
        maps = dense.upsample(cells.reshape(-1, CELL, CELL, cells.shape[-1]), SIZE)
        return np.asarray(maps, np.float64).reshape(len(images), SIZE**2, -1)

    places = drawn_pixels.draw(truth, 24, seed=0)
    rows = np.concatenate([each[place] for each, place in zip(features(images), places)])
    labels = np.concatenate([each.ravel()[place] for each, place in zip(truth, places)])
    mean, scale = rows.mean(axis=0), 1 / rows.std(axis=0)
    peer = sklearn.linear_model.LogisticRegression(C=1 / (0.01 * len(rows)), tol=1e-8, max_iter=999)
    peer.fit((rows - mean) * scale, labels)
    expected = peer.predict((features(test).reshape(-1, rows.shape[1]) - mean) * scale)
    found = shown(where, "predicted")
    assert np.mean(found.ravel() == expected) > 0.995
    assert len(np.unique(expected)) == 3
    assert record["protocol"]["image_size"] == SIZE and record["subject"]["grid"] == [CELL, CELL]


def test_protocols_agree_between_encoders(run):
    (a, _), (b, _) = (result_of(run, encoder) for encoder in ("trained", "pixels"))
    assert a["stamp"] == b["stamp"]
    assert b["subject"]["num_features"] == 16 and a["subject"]["encoder"] == "trained"


def test_a_stage_of_a_random_encoder_is_printed(run, folder, capsys):
    words = ["segment", str(run), "--data-path", str(folder), "--encoders", "random", *BRIEF]
    assert cli.main([*words, "--stage", "0", "--weights-seed", "1", "--num-shown", "0"]) == 0
    said = capsys.readouterr().out
    assert "segmentation random (seed 1), map of stage 0: mIoU " in said
    assert "by class: ground " in said
    (file,) = run.glob("evaluation/step-2/*/segmentation-random-seed1-map-of-stage-0.json")
    assert not file.with_suffix("").exists()


def test_a_folded_classifier_reads_features_as_they_are():
    generator = np.random.default_rng(0)
    rows, weights = generator.normal(3, 2, (5, 4)), generator.normal(size=(4, 3))
    mean, scale, bias = generator.normal(size=(3, 4))
    kernel, shift = linear.folded(mean, scale, weights, bias[:3])
    expected = (rows - mean) * scale @ weights + bias[:3]
    np.testing.assert_allclose(rows @ kernel + shift, expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--stage", "9"), "stage: must be one whose map has rows and columns, 0 to 0; got 9"),
        (("--num-pixels", "0"), "num_pixels must be at least 1; got 0"),
        (("--holdout", "2"), "LinearConfig: holdout must be in (0, 1); got 2.0"),
        (("--test-split", "train"), "must share no image; got 20 of 20"),
        (("--test-split", "val"), "must hold val/images/ and val/masks/; got test, train"),
        (("--image-size", "14"), "14"),
    ],
)
def test_wrong_input_is_one_line(run, folder, words, message, capsys):
    assert cli.main(["segment", str(run), "--data-path", str(folder), *BRIEF, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxssl: ") and message in line


def test_masks_must_hold_classes(run, folder, tmp_path, capsys):
    def refused(split, value):
        own = shutil.copytree(folder, tmp_path / f"{split}{value}")
        for file in (own / split / "masks").iterdir():
            masks.write(file, np.full((SIZE, SIZE), value, np.uint8))
        words = ["segment", str(run), "--data-path", str(own), "--encoders", "pixels", *BRIEF]
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "must hold at least two classes; got only [1]" in refused("train", 1)
    assert "masks of the test images must hold classes; got 255 alone" in refused("test", 255)


def test_an_encoder_of_something_else_is_refused(run, monkeypatch):
    encoder = checkpoints.restore_encoder(run)
    encoder.meta["inputs"] = [{"name": "tokens", "shape": [16], "dtype": "int32"}]
    with pytest.raises(ValueError, match=r"must be fed one square image; got tokens \[16\]"):
        segmentation.open_splits(encoder, "anywhere", ("train", "test"), None)
