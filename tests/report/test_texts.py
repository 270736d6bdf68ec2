"""A run on texts, from the command line to its page."""

import html
import json
import re

import numpy as np
import pytest
import tiny_runs

from jaxssl import cli
from jaxssl.data import tokenizers
from jaxssl.report import page, texts

# A run is trained first.
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """A run of BERT and one of GPT, evaluated and drawn."""
    import jax

    npz = tiny_runs.write_data(folder / "tiny.npz")
    found = {}
    with jax.numpy_dtype_promotion("standard"):
        for name in ("bert_python", "gpt_python"):
            out = found[name] = folder / name
            assert cli.main(tiny_runs.words(name, npz, out)) == 0
            evaluate = ["evaluate", str(out), "--vote.num-neighbors", "3", "--probe.l2-grid", "0.1"]
            assert cli.main(evaluate) == 0
            assert cli.main(["report", str(out)]) == 0
    return found


def test_progress_counts_windows(folder, capsys):
    npz = tiny_runs.write_data(folder / "tiny.npz")
    assert cli.main(tiny_runs.words("gpt_python", npz, folder / "again")) == 0
    text = capsys.readouterr().out
    assert re.search(r"32 windows;", text) and re.search(r"[\d,]+ windows/s", text)
    rows = tiny_runs.rows(folder / "again")
    assert len(rows) == 10
    assert all(row["bits_per_token"] == pytest.approx(row["loss"] / np.log(2)) for row in rows)


def test_every_baseline_of_texts_is_evaluated(runs):
    for out in runs.values():
        found = {path.name for path in out.glob("evaluation/step-10/*/*.json")}
        kinds = ("trained", "random-0", "random", "counts")
        assert {name for kind in kinds for name in (f"linear-{kind}.json",)} & found
        assert "linear-counts.json" in found and "knn-counts.json" in found
        assert not any("pixels" in name or "pca" in name for name in found)
        (path,) = out.glob("evaluation/step-10/*/linear-counts.json")
        assert json.loads(path.read_text())["results"]["num_features"] == 257


def test_the_page_shows_what_is_hidden_and_the_guesses(runs):
    text = (runs["bert_python"] / "report" / "index.html").read_text()
    text = text[text.index("<th>test text</th>") :]  # results stand above
    heads = re.findall("<th>(.*?)</th>", text)
    assert heads[:4] == [
        "test text",
        "what the encoder reads",
        "what was hidden",
        html.escape("the network's guesses"),
    ]
    row = re.findall(r"<tr>(<td>.*?</td>)</tr>", text, re.S)[0]
    original, seen, hidden, guesses = re.findall("<td>(.*?)</td>", row, re.S)
    assert len(html.unescape(original)) == len(html.unescape(seen)) == 16
    assert original.startswith("¶") and "█" in text
    assert len(hidden.splitlines()) == len(guesses.splitlines()) == 2
    assert "neighbour 1" in heads and "<h2>Features</h2>" in text


def test_the_page_shows_how_a_window_goes_on(runs):
    text = (runs["gpt_python"] / "report" / "index.html").read_text()
    assert "as the likeliest token each time" in text and "as tokens drawn by their" in text
    assert "[class " in text


def test_pixels_of_texts_are_refused(runs, capsys):
    words = ["evaluate", str(runs["gpt_python"]), "--encoders", "pixels"]
    assert cli.main(words) == 2
    message = 'one of trained, random, counts for an encoder that is fed "tokens"; got pixels'
    assert message in capsys.readouterr().err


def test_a_grid_of_texts_is_refused(runs, capsys):
    assert cli.main(["knn-eval", str(runs["gpt_python"]), "--grid", "2"]) == 2
    assert "maps must have rows and columns; got those of texts" in capsys.readouterr().err


def test_another_vocabulary_is_refused_before_anything_is_written(folder, capsys):
    npz = tiny_runs.write_data(folder / "tiny.npz")
    words = tiny_runs.words("bert_python", npz, folder / "other", "--encoder.vocabulary", 300)
    assert cli.main(words) == 2
    assert "must be that of the data, 258 tokens" in capsys.readouterr().err
    assert not (folder / "other" / "config.json").exists()


def test_tokens_of_a_place_stand_by_themselves_with_signs_for_white_space():
    places = np.array([[32, 10], [97, 98], [256, 256]])
    assert texts.written(places, tokenizers.Bytes().decode) == "␣ ⏎\na b"


def test_texts_are_escaped():
    text = page.render("<x>", [page.Table("t", "s", ("<h>",), (("<b>&\n",),))])
    assert "<td>&lt;b&gt;&amp;\n</td>" in text and "<th>&lt;h&gt;</th>" in text
