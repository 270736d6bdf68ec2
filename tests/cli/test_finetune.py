"""Fine-tuning a run and naming images by it, as a user does both."""

import csv
import json

import jax
import numpy as np
import pytest
import tiny
import tiny_runs
from PIL import Image

from jaxssl import checkpoints, cli, data, named
from jaxssl.evaluation import correctness, few_label
from jaxssl.runs import finetune as finetuning
from jaxssl.runs.opened import open_run
from jaxssl.training import stop

SHORT = ("--training.batch-size", 8, "--training.epochs", 1, "--optimizer.warmup-epochs", 0)
MIXED = ("--method.mixup", 0.8, "--method.drop-path", 0.2, "--method.ema-momentum", 0.5,
         "--method.rand-augment.num-operations", 1, "--method.label-smoothing", 0.1)  # fmt: skip

pytestmark = pytest.mark.usefixtures("standard_promotion")


def finetune(run, out, *more):
    return cli.main([str(word) for word in ("finetune", run, "--out", out, *SHORT, *more)])


@pytest.fixture(scope="session")
def tuned(finished, tmp_path_factory):
    """Four steps with all that a method can do."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    with jax.numpy_dtype_promotion("standard"):
        assert finetune(finished, out, *MIXED) == 0
    return out


def result_of(out):
    (file,) = out.glob("evaluation/step-*/*/finetune-trained.json")
    return json.loads(file.read_text())


def test_its_recipe_is_made_of_the_run(finished, tuned):
    config = json.loads((tuned / "config.json").read_text())["config"]
    before = json.loads((finished / "config.json").read_text())["config"]
    assert config["start"]["run"] == str(finished) and config["start"]["step"] == 2
    assert config["encoder"] == before["encoder"] and config["data"] == before["data"]
    assert config["optimizer"]["layer_decay"] == 0.75
    augment = config["method"]["fields"]["augment"]
    own = before["method"]["fields"]["augment"]
    assert own.items() <= augment.items() and augment["jitter_prob"] == 0


@pytest.mark.parametrize(
    ("name", "is_imported", "rate"),
    [("ResNet", False, 8e-3), ("ViT", False, 2e-3), ("ResNet", True, 2e-3)],
)
def test_a_new_head_on_convolutions_of_ones_own_learns_faster(
    name, is_imported, rate, npz, finished, monkeypatch
):
    meta = {**checkpoints.read_meta(finished), "encoder": named.to_json(tiny.ENCODERS[name])}
    monkeypatch.setattr(finetuning.checkpoints, "read_meta", lambda *_: meta)
    monkeypatch.setattr(finetuning.meta_lib, "is_imported", lambda _: is_imported)
    recipe = finetuning.recipe_of(finished, data_path=str(npz))
    assert recipe.optimizer.base_learning_rate == rate


def test_its_test_accuracy_is_that_of_its_answers(npz, tuned):
    record = result_of(tuned)
    opened = open_run(tuned)
    assert opened.recipe.method.class_names == ("0", "1", "2", "3")
    assert "label" in {each["name"] for each in opened.meta["example"]}
    test = data.ImageData(str(npz), tiny.SIZE, 1).open("test")
    views = {"image": test.columns["image"]}
    answers = jax.jit(opened.method.answer)(opened.params, opened.method_state, views).argmax(-1)
    (place,) = tuned.glob("evaluation/step-*/*/finetune-trained.json")
    kept = correctness.read(place, record["correct"], len(test.labels))
    np.testing.assert_array_equal(kept["pooled"], answers == test.labels)
    results, protocol = record["results"], record["protocol"]
    assert results["test_accuracy"] == np.mean(answers == test.labels)
    assert 0 < results["half_width"] < 0.5
    assert protocol["train_size"] == tiny_runs.NUM_TRAIN and protocol["labels"] is None
    assert record["subject"]["start"]["step"] == 2


@pytest.mark.slow
def test_its_page_says_what_it_is_worth_and_what_it_began_with(finished, tuned, capsys):
    assert cli.main(["report", str(tuned)]) == 0
    page = (tuned / "report" / "index.html").read_text()
    right = 100 * result_of(tuned)["results"]["test_accuracy"]
    lead = f"After {tiny_runs.NUM_TRAIN} labels it names {right:.2f} ± "
    assert lead in page and f"of {tiny_runs.NUM_TEST} test images right." in page
    assert f"the encoder of {finished}, step 2" in page


@pytest.mark.slow
def test_stopped_and_called_again_it_is_the_same_bit_for_bit(
    finished, tuned, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(stop.Signals, "requested", lambda self, completed: completed == 2)
        assert finetune(finished, out, *MIXED) == 0
    assert not list(out.glob("evaluation"))
    assert f"starting from {finished} after step 2: encoder; anew: head" in capsys.readouterr().out
    assert finetune(finished, out, *MIXED) == 0
    said = capsys.readouterr().out
    assert "images with their labels" in said and "resuming after step 2 of 4" in said
    assert "of 8 test images, after 32 labels" in said
    a, b = (open_run(each).state for each in (out, tuned))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert result_of(out)["results"] == result_of(tuned)["results"]


@pytest.mark.slow
def test_from_scratch_with_few_labels_of_the_published_draw(npz, finished, tmp_path, capsys):
    out = tmp_path / "run"
    few = ("--encoder", "random", "--per-class", 2, "--draw", 1)
    words = ("finetune", finished, "--out", out, *few, "--training.epochs", 2,
             "--optimizer.warmup-epochs", 0)  # fmt: skip
    assert cli.main(list(map(str, words))) == 0
    assert "labels of 2 per class (draw 1)" in capsys.readouterr().out
    meta = checkpoints.read_meta(out)
    config = meta["config"]
    assert "start" not in config and config["optimizer"]["layer_decay"] == 1
    assert config["labels"] == {"per_class": 2, "fraction": None, "draw": 1}
    assert meta["plan"]["batch_size"] == 8 and meta["dataset"]["size"] == 8
    train = data.ImageData(str(npz), tiny.SIZE, 1).open("train")
    kept = data.take(train, few_label.draw_rows(train.labels, 2, 1))
    assert meta["dataset"]["fingerprint"] == kept.fingerprint
    record = result_of(out)
    assert record["protocol"]["labels"]["draw"] == 1 and record["subject"]["start"] is None
    assert cli.main([*map(str, words[:-3]), "3", *map(str, words[-2:])]) == 2  # another run


def test_images_are_named_and_the_unreadable_listed(npz, tuned, tmp_path, capsys):
    test = data.ImageData(str(npz), tiny.SIZE, 1).open("test")
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    for row, image in enumerate(test.columns["image"]):
        Image.fromarray(image[..., 0]).save(folder / f"{row}.png")
    (folder / "broken.png").write_bytes(b"nothing")
    out = tmp_path / "new" / "predictions.csv"
    single = folder / "3.png"
    words = ["predict", tuned, single, tmp_path / "photos", "--out", out]
    assert cli.main(list(map(str, words))) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}: 8 images\n"
    line, follows = said.err.splitlines()
    assert follows.startswith("next: ")
    assert line.startswith(f"jaxssl: left out, as unreadable: {folder / 'broken.png'}: ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    paths = [single, *(folder / f"{row}.png" for row in range(8) if row != 3)]
    assert [row["path"] for row in rows] == list(map(str, paths))
    opened = open_run(tuned)
    views = {"image": test.columns["image"]}
    logits = np.asarray(jax.jit(opened.method.answer)(opened.params, opened.method_state, views))
    found = np.asarray(jax.nn.softmax(logits))[[3, 0, 1, 2, 4, 5, 6, 7]]
    assert [row["class"] for row in rows] == [str(label) for label in found.argmax(-1)]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in rows], found.max(-1), atol=2e-6
    )


def test_predict_refuses_what_it_cannot_name(finished, tuned, tmp_path, refused):
    out = ("--out", tmp_path / "out.csv")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    line = refused("predict", finished, broken, *out)
    assert "must be a fine-tuned run, or hold a linear probe; got one of MAE without. Fit" in line
    line = refused("predict", tuned, tmp_path / "none", *out)
    assert "must be images and folders of images; got" in line
    assert "one must be readable at least; got" in refused("predict", tuned, broken, *out)
    assert "at least one image" in refused("predict", tuned, *out)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--draw", 1), "--draw: nothing uses it; it takes --fraction or --per-class too."),
        (("--per-class", 1, "--fraction", 0.5), "--per-class: nothing uses it; --fraction says"),
        (("--encoder", "random", "--step", 2), "--step: nothing uses it; a random encoder has no"),
        (("--per-class", 9), "every class must have 9 images; class 0 has 8"),
        (("--fraction", 1.5), "Labels: fraction must be in (0, 1); got 1.5"),
        (("--data.train-split", "test"), "the splits must share no image"),
        (("--method.mixup", -1), "Supervised: mixup must be at least 0; got -1"),
    ],
)
def test_wrong_options_are_one_line(words, message, finished, tmp_path, refused):
    out = tmp_path / "run"
    assert message in refused("finetune", finished, "--out", out, *words)
    assert not out.exists()


def test_views_follow_the_size_of_the_images(finished, tmp_path, refused):
    (tmp_path / "file").touch()
    words = ("--out", tmp_path / "file", "--data.image-size", 32)
    assert "must be a directory; got a file" in refused("finetune", finished, *words)


def test_unlabelled_data_are_refused(finished, tmp_path, refused):
    images = tiny.images(12)
    np.savez(tmp_path / "bare.npz", train_images=images[:8], test_images=images[8:])
    words = ("--data.path", tmp_path / "bare.npz")
    line = refused("finetune", finished, "--out", tmp_path / "run", *words)
    assert "the data set must be labelled; got" in line


def test_it_takes_a_run_first(refused, tmp_path):
    assert "finetune: must be followed by a run directory" in refused("finetune", "--out", tmp_path)
    assert "checkpoint" in refused("finetune", tmp_path / "none", "--out", tmp_path / "run")


def test_a_fine_tuned_run_has_no_pretext_to_audit(tuned, refused):
    assert "audit: the method must be self-supervised; got Supervised" in refused("audit", tuned)


@pytest.mark.slow
def test_the_loss_of_a_fine_tuned_run_is_measured_on_the_test_split(tuned, capsys):
    assert cli.main(["pretext-eval", str(tuned)]) == 0
    assert "trained: loss" in capsys.readouterr().out
