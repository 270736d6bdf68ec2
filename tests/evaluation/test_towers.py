"""A run of images with texts, from the command line to its evaluations and its page."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
import tiny_runs

from jaxssl import checkpoints, cli, data
from jaxssl.evaluation import correctness, text_retrieval, zero_shot
from jaxssl.report import pairs

# A run is trained first.
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]
NAMES = ("class 0", "class 1", "class 2", "class 3")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    npz = tiny_runs.write_data(folder / "tiny.npz")
    with jax.numpy_dtype_promotion("standard"):
        assert cli.main(tiny_runs.words("clip_fashion_mnist", npz, folder / "clip")) == 0
    return folder / "clip"


@pytest.fixture(scope="module")
def embedded(run):
    """What embeds in float64: images of the test split, and texts; and the split's labels."""
    encoder = checkpoints.restore_encoder(run)
    fields = encoder.meta["config"]["data"]["fields"]
    source = data.PairData(fields["path"], 16, 1, length=40, in_memory=True).open("test")
    config = data.PairData("unused", 16, 1, length=40)

    def unit(rows):
        rows = np.asarray(rows, np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    @jax.jit
    def rows_of(columns):
        return encoder.module.apply(encoder.variables, **columns, method="embed")

    def embed(**columns):
        return unit(rows_of(columns))

    images = embed(image=source.columns["image"])
    return images, lambda words: embed(tokens=config.encode(words)), source.labels


def test_images_are_standardised_by_the_numbers_of_the_data(run):
    module = checkpoints.restore_encoder(run).module
    pixels = tiny.images(tiny_runs.NUM_TRAIN + tiny_runs.NUM_TEST)[: tiny_runs.NUM_TRAIN]
    grey = pixels @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(module.config.mean, grey.mean(), atol=3e-3)
    np.testing.assert_allclose(module.config.towers[0].std, grey.std(), atol=3e-3)


def result(run, name):
    (path,) = run.glob(f"evaluation/step-10/*/{name}-trained*.json")
    return json.loads(path.read_text())


def test_classes_are_the_mean_of_their_sentences(run, embedded, capsys):
    images, embed, labels = embedded
    prompts = ("a photo of a {}", "{}!")
    assert cli.main(["zero-shot", str(run), "--prompts", *prompts]) == 0
    by_class = np.stack(
        [embed([p.replace("{}", name).encode() for p in prompts]).mean(0) for name in NAMES]
    )
    by_class /= np.linalg.norm(by_class, axis=1, keepdims=True)
    hits = (images @ by_class.T).argmax(1) == labels
    right = np.mean(hits)
    record = result(run, "zero-shot")
    (place,) = run.glob("evaluation/step-10/*/zero-shot-*.json")
    kept = correctness.read(place, record["correct"], len(labels))
    np.testing.assert_array_equal(kept["top_1"], hits)
    assert record["results"]["top_1"]["accuracy"] == pytest.approx(right)
    assert record["results"]["top_1"]["chance"] == 0.25
    assert record["results"]["per_class"].keys() == set(NAMES)
    assert "top_5" not in record["results"]
    assert record["protocol"]["prompts"] == list(prompts)
    assert record["protocol"]["layer"] == "common space"
    out = capsys.readouterr().out
    assert f"top 1: {100 * right:.2f} % ± " in out and "4 classes, 2 prompts)" in out


def test_other_names_may_be_given(run, embedded):
    images, embed, labels = embedded
    words = ("zero", "one", "two", "three")
    assert cli.main(["zero-shot", str(run), "--classes", *words]) == 0
    rows = embed([f"a photo of a {word}.".encode() for word in words])
    record = result(run, "zero-shot")
    right = np.mean((images @ rows.T).argmax(1) == labels)
    assert record["results"]["top_1"]["accuracy"] == pytest.approx(right)
    assert record["protocol"]["classes"] == list(words)


def test_equals_count_against_the_right_class():
    images = np.ones((2, 3), np.float32)
    classes = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(zero_shot.rank_right(images, classes, np.array([0, 3])), 3)
    nearer = np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    np.testing.assert_array_equal(zero_shot.rank_right(images, nearer, np.array([0, 2])), [0, 2])


def test_blocks_change_no_rank(monkeypatch):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))
    queries, gallery = queries.astype(np.float32), gallery.astype(np.float32)
    own, groups = rng.integers(0, 4, 7), np.arange(9) % 4
    expected = []
    for query, group in zip(queries, own):
        similar = gallery @ query
        best = similar[groups == group].max()
        expected.append(((similar >= best) & (groups != group)).sum())
    for block in (2**24, 18):
        monkeypatch.setattr(text_retrieval, "_BLOCK", block)
        got = text_retrieval.rank_first(queries, own, gallery, groups)
        np.testing.assert_array_equal(got, expected)
        monkeypatch.setattr(zero_shot, "_BLOCK", block)
        ranks = zero_shot.rank_right(queries, gallery, own)
        order = (-(queries @ gallery.T)).argsort(axis=1)
        np.testing.assert_array_equal(ranks, (order == own[:, None]).argmax(axis=1))


def test_an_encoder_that_answers_nothing_finds_nothing():
    same = np.ones((6, 2), np.float32)
    found = text_retrieval.recalls(same, np.arange(6), same, np.arange(6))
    assert found["among 1"]["recall"] == found["among 5"]["recall"] == 0
    assert found["among 1"]["chance"] == pytest.approx(1 / 6)
    assert found["among 5"]["chance"] == pytest.approx(5 / 6)
    assert "among 10" not in found


def test_chance_is_the_share_of_draws_with_something_right():
    rng = np.random.default_rng(0)
    draws = np.stack([rng.permutation(10)[:5] for _ in range(20_000)])
    for right in (1, 3, 6):
        expected = (draws < right).any(axis=1).mean()
        got = text_retrieval.chance(np.array([right]), 10, 5)
        np.testing.assert_allclose(got, expected, atol=0.015)


def test_a_text_finds_its_images_and_an_image_its_text(run, embedded, capsys):
    images, embed, labels = embedded
    assert cli.main(["text-retrieval", str(run)]) == 0
    texts = embed([f"a photo of a {name}".encode() for name in NAMES])
    record = result(run, "text-retrieval")["results"]
    similar = images @ texts.T
    assert (record["num_images"], record["num_texts"]) == (8, 4)
    right = np.mean(similar.argmax(1) == labels)
    assert record["texts_by_image"]["among 1"]["recall"] == pytest.approx(right)
    right = np.mean(labels[similar.argmax(0)] == np.arange(4))
    assert record["images_by_text"]["among 1"]["recall"] == pytest.approx(right)
    nearest = labels[(-similar).argsort(axis=0)[:5]]
    right = np.mean((nearest == np.arange(4)).any(axis=0))
    assert record["images_by_text"]["among 5"]["recall"] == pytest.approx(right)
    assert record["images_by_text"]["among 1"]["chance"] == pytest.approx(2 / 8)
    assert "texts by image, of 4: among 1 " in capsys.readouterr().out


def test_the_loss_is_priced_on_new_pairs_and_the_task_has_no_question(run, capsys):
    assert cli.main(["pretext-eval", str(run)]) == 0
    assert "temperature 0.0" in capsys.readouterr().out
    assert cli.main(["audit", str(run), "--num-fit", "64", "--num-score", "64"]) == 0


def test_the_network_of_images_is_evaluated_like_any_other(run):
    words = ["evaluate", str(run), "--vote.num-neighbors", "3", "--probe.l2-grid", "0.1"]
    assert cli.main(words) == 0
    (path,) = run.glob("evaluation/step-10/*/linear-trained.json")
    assert json.loads(path.read_text())["protocol"]["layer"] == "pooled"
    found = {each.name for each in path.parent.iterdir()}
    assert {"knn-random-seed0.json", "knn-pixels.json", "knn-pca.json"} <= found


def test_the_page_shows_texts_beside_images(run, monkeypatch):
    drawn = []
    draw = pairs.plots.draw_captioned
    monkeypatch.setattr(
        pairs.plots, "draw_captioned", lambda *a, **k: (drawn.append(a), draw(*a, **k))
    )
    assert cli.main(["report", str(run)]) == 0
    ((pictures, texts, path),) = [each[:3] for each in drawn]
    assert [title for title, _ in pictures] == ["test image", "view"]
    (own, lines), (chosen, answers) = texts
    assert own == "its text" and chosen.startswith("the text most like it (")
    assert set(lines) == {f"a photo of a {name}" for name in NAMES} >= set(answers)
    assert path.exists()
    page = (run / "report" / "index.html").read_text()
    assert "Test images with their texts" in page and "<h2>Nearest neighbours</h2>" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompts", "a photo"], 'prompts must have {} once, .*; got "a photo"'),
        (["--classes", "a", "b"], "classes must be a name for each of the 4 classes of .*; got 2"),
        (["--prompts", "{}" + "x" * 50], "a text must be of at most 39 tokens; got 57"),
    ],
)
def test_sentences_that_cannot_be_are_refused(run, words, message, capsys):
    assert cli.main(["zero-shot", str(run), *words]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_an_encoder_without_texts_is_refused(tmp_path, capsys):
    npz = tiny_runs.write_data(tmp_path / "tiny.npz")
    words = tiny_runs.words("rotation_fashion_mnist", npz, tmp_path / "run")
    assert cli.main(words) == 0
    for command in ("zero-shot", "text-retrieval"):
        assert cli.main([command, str(tmp_path / "run")]) == 2
        message = f"{command}: the encoder must have a network of images and one of texts; got Res"
        assert message in capsys.readouterr().err


def test_pairs_without_classes_are_searched_and_not_classified(run, tmp_path, capsys):
    encoder = checkpoints.restore_encoder(run)
    folder = Path(encoder.meta["config"]["data"]["fields"]["path"])
    rows = [
        {"image": str(file), "text": file.with_suffix(".txt").read_text()}
        for file in sorted(folder.rglob("*.png"))
    ]
    table = tmp_path / "pairs.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    assert cli.main(["text-retrieval", str(run), "--data-path", str(table)]) == 0
    assert cli.main(["zero-shot", str(run), "--data-path", str(table)]) == 2
    assert "must be labelled; got the split" in capsys.readouterr().err
