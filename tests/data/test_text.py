"""Texts as windows of tokens: which documents, which split, which class."""

import json
import re

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from jaxssl import cli, data
from jaxssl.data import documents, tokenizers
from jaxssl.inputs import Input

SEPARATOR = 256


def write(place, **texts):
    """Files by their names, "__" for a slash and "_txt" for ".txt"."""
    for name, text in texts.items():
        file = place / name.replace("__", "/").replace("_txt", ".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(place)


def windows(path, split="all", **options):
    source = data.TextData(path, **{"length": 4, **options}).open(split)
    return source.columns["tokens"], source.labels, source.class_names


def test_documents_are_one_stream_of_windows_with_separators(tmp_path):
    path = write(tmp_path, b_txt="cdefgh", a_txt="ab")
    tokens, labels, names = windows(path)
    stream = [SEPARATOR, *b"ab", SEPARATOR, *b"cdefgh"]
    np.testing.assert_array_equal(tokens.ravel(), stream[:8])
    assert tokens.shape == (2, 4) and tokens.dtype == np.uint16
    assert labels is None and names is None


def test_folders_are_classes_and_the_middle_of_a_window_decides(tmp_path):
    path = write(tmp_path, x__1_txt="aaaaa", y__1_txt="bb", y__2_txt="ccccccc")
    tokens, labels, names = windows(path)
    assert names == ("x", "y")
    owner = np.array([0] * 6 + [1] * 11)  # of each token of the stream, separators with their text
    np.testing.assert_array_equal(labels, owner[[2, 6, 10, 14]])
    assert len(tokens) == 4


def test_a_file_beside_the_folders_leaves_no_class(tmp_path):
    _, labels, _ = windows(write(tmp_path, x__1_txt="aaaaa", y__1_txt="bb", z_txt="c"))
    assert labels is None


def test_splits_are_whole_documents_and_together_all(tmp_path):
    path = write(tmp_path, **{f"{number:02d}_txt": f"{number:02d}." for number in range(20)})
    found = {
        split: {bytes(row[1:3].astype(np.uint8)) for row in windows(path, split)[0]}
        for split in ("train", "test", "all", "fit", "validation")
    }
    assert len(found["all"]) == 20 and len(found["test"]) == 4 and len(found["validation"]) == 1
    assert found["train"] | found["test"] == found["all"]
    assert found["fit"] | found["validation"] == found["train"]
    assert not found["train"] & found["test"] and not found["fit"] & found["validation"]


def test_one_document_is_cut_at_a_line_and_its_end_is_the_test_split(tmp_path):
    path = write(tmp_path, one_txt="".join(f"{number:03d}\n" for number in range(100)))
    parts = [windows(path, split)[0] for split in ("train", "test")]
    texts = [data.TextData(path).decode(part.ravel()[1:]) for part in parts]
    assert texts[0].startswith("000\n") and texts[1].startswith("080\n")
    assert "079" in texts[0] and "080" not in texts[0]
    assert len(windows(path, "validation")[0]) == 8


def test_a_directory_of_splits_has_these(tmp_path):
    path = write(tmp_path, train__x__1_txt="aaa", train__y__1_txt="bbb", test__y__1_txt="ccc")
    tokens, labels, names = windows(path, "test")
    np.testing.assert_array_equal(tokens, [[SEPARATOR, *b"ccc"]])
    assert names == ("x", "y")
    np.testing.assert_array_equal(labels, [1])
    assert len(windows(path, "train")[0]) == 2 and len(windows(path, "all")[0]) == 3
    assert len(windows(path, "validation")[0]) == len(windows(path, "fit")[0]) == 1


def test_folders_of_splits_may_have_their_other_names(tmp_path):
    path = write(tmp_path, Training__1_txt="aaa", dev__1_txt="bbb", TEST__1_txt="ccc")
    texts = {"train": b"aaa", "validation": b"bbb", "val": b"bbb", "test": b"ccc"}
    for split, text in texts.items():
        np.testing.assert_array_equal(windows(path, split)[0], [[SEPARATOR, *text]])
    write(tmp_path, train__1_txt="ddd")
    with pytest.raises(ValueError, match="one folder of the split train; got Training and train"):
        windows(path, "train")


def test_a_link_to_the_parent_is_not_followed_for_ever(tmp_path):
    path = write(tmp_path, a__1_txt="aaa", b__1_txt="bbb")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert len(documents.read_split(path, "all")) == 2


def test_rows_of_json_and_of_parquet_are_documents(tmp_path):
    rows = [{"text": "aaa", "label": 7}, {"text": "", "label": 8}, {"text": "bbb", "label": "q"}]
    write(tmp_path, rows="")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    tokens, labels, names = windows(str(tmp_path / "rows.jsonl"))
    np.testing.assert_array_equal(tokens, [[SEPARATOR, *b"aaa"], [SEPARATOR, *b"bbb"]])
    assert names == ("7", "q") and labels.tolist() == [0, 1]
    table = pyarrow.table({"other": [1, 2], "text": ["aaa", "bbb"]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    tokens, labels, _ = windows(str(tmp_path / "rows.parquet"))
    np.testing.assert_array_equal(tokens, [[SEPARATOR, *b"aaa"], [SEPARATOR, *b"bbb"]])
    assert labels is None


def test_hidden_files_and_caches_are_no_documents(tmp_path):
    path = write(tmp_path, a_txt="aaa")
    for folder in (".ipynb_checkpoints", "__pycache__"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.txt").write_text("bbb")
    assert len(documents.read_split(path, "all")) == 1


def test_the_library_of_python_is_a_labelled_corpus():
    source = data.TextData("python", length=64).open("test")
    assert {"asyncio", "documentation", "single modules"} <= set(source.class_names)
    assert len(source) > 5000
    assert np.all(np.bincount(source.labels, minlength=source.num_classes) > 0)
    text = b" ".join(each.text for each in documents.read_split("python", "all"))
    assert b"def __init__(self" in text and b"Boolean operations" in text
    assert not any("/test" in each.name for each in documents.read_split("python", "all"))


def test_bytes_come_back_and_special_tokens_are_signs():
    text = "naïve\n".encode()
    tokens = np.array([SEPARATOR, *text, 257], np.uint16)
    assert tokenizers.Bytes().decode(tokens) == "¶naïve\n█"
    assert tokenizers.Bytes().decode(np.array([0xC3])) == "\ufffd"


@pytest.fixture
def tokenizer_file(tmp_path):
    package = pytest.importorskip("tokenizers")
    made = package.Tokenizer(package.models.WordLevel({"the": 0, "cat": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = package.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return str(tmp_path / "tokenizer.json")


def test_a_tokenizer_of_a_file_numbers_the_pieces(tmp_path, tokenizer_file):
    path = write(tmp_path / "texts", a_txt="the cat the dog", b_txt="cat")
    config = data.TextData(path, length=7, tokenizer=tokenizer_file)
    assert config.vocabulary == 5
    tokens = config.open("all").columns["tokens"]
    np.testing.assert_array_equal(tokens, [[3, 0, 1, 0, 2, 3, 1]])
    assert config.decode(np.array([3, 0, 1, 4])) == "¶the cat█"


@pytest.mark.slow
def test_a_learned_tokenizer_writes_shorter_and_reads_back(tmp_path, capsys):
    pytest.importorskip("tokenizers")
    file = tmp_path / "tokenizer.json"
    words = ["train-tokenizer", "python", "--out", str(file), "--vocabulary", "400"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{file}: 400 tokens, [\d.]+ bytes each on the test split", text)
    assert "--data.tokenizer" in text and "--encoder.vocabulary 400" in text
    tokenizer = tokenizers.open_tokenizer(str(file))
    sample = "def naïve(self):\n\treturn 漢\n".encode()
    (tokens,) = tokenizer.encode([sample])
    assert tokenizer.vocabulary == 400 and len(tokens) < len(sample)
    assert tokenizer.decode(tokens).encode() == sample
    # No byte is unknown, and what is learned does not depend on the day.
    assert cli.main([*words[:3], str(tmp_path / "again.json"), *words[4:]]) == 0
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()


def test_a_vocabulary_below_the_bytes_is_refused(tmp_path, capsys):
    words = ["train-tokenizer", "python", "--out", str(tmp_path / "t.json"), "--vocabulary", "200"]
    assert cli.main(words) == 2
    assert "vocabulary must be at least 258; got 200" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()


def test_matching_takes_the_length_of_the_encoder():
    config = data.TextData("python")
    assert config.matching((Input("tokens", (32,), "int32"),)).length == 32
    with pytest.raises(ValueError, match=r'must be fed "tokens" \[L\]; got image \[8, 8, 1\]'):
        config.matching((Input("image", (8, 8, 1), "float32"),))


@pytest.mark.parametrize(
    ("files", "path", "options", "message"),
    [
        ({}, "nowhere", {}, '"python"; got .*nowhere, which does not exist'),
        ({}, "pythn", {}, 'which does not exist. Did you mean "python"?'),
        ({"a.pdf": b"x"}, "", {}, r"must hold files of text \(.txt .* .jsonl .parquet\); got none"),
        ({"a.txt": b""}, "a.txt", {}, "a.txt must hold a text; got none"),
        ({"a.txt": b"ab"}, "", {}, "at least one window of 4 tokens; got 3 tokens. Set --data.len"),
        ({"a.jsonl": b'{"txt": "a"}'}, "", {}, r"""row of .*a.jsonl must .*row 1 has \['txt'\]"""),
        ({"a.jsonl": b'{"text": 3}'}, "", {}, r"""have a "text", a string; row 1 has"""),
        ({"a.jsonl": b'{"text": "a"}\n['}, "", {}, "must be JSON; line 2 is not"),
        ({"a.jsonl": b"[]"}, "", {}, 'must have a "text", a string; row 1 has list'),
        ({"a.parquet": b"PAR1"}, "", {}, "a.parquet must be a Parquet file; got"),
        (
            {"a.txt": b"abcd"},
            "",
            {"tokenizer": "x.json"},
            'be "bytes" or a tokenizer.json; got x.j',
        ),
        ({"a.txt": b"abcd"}, "", {"split": "tset"}, 'got "tset". Did you mean "test"?'),
        ({"a.txt": b"abcd"}, "", {"length": 1}, "TextData: length must be at least 2; got 1"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, files, path, options, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    path = path if path == "pythn" else str(tmp_path / path)
    split = options.pop("split", "all")
    with pytest.raises(ValueError, match=message):
        windows(path, split, **options)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 't.json'} must be a file that")):
        data.TextData("python", tokenizer=str(tmp_path / "t.json")).open("all")


def test_a_tokenizer_without_the_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"Install jaxssl\[text\], or take bytes"):
        tokenizers.open_tokenizer("any.json")
