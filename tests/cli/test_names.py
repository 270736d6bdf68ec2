"""Names of files, folders and classes are printed as they are, whatever stands in them."""

import os

import pytest
import tiny_runs

from jaxssl import cli

MAE = "mae_fashion_mnist"

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_brackets_and_spaces_in_paths_are_no_markup_and_no_pattern(npz, tmp_path, capsys):
    data_path = tmp_path / "[/home] :dog:" / "[red]x*.npz"
    data_path.parent.mkdir(parents=True)
    data_path.write_bytes(npz.read_bytes())
    out = tmp_path / ("[/old]  run[lr=1]?" + "x" * 95)
    words = tiny_runs.words(MAE, data_path, out, "--training.epochs", 0.5,
                            "--optimizer.warmup-epochs", 0)  # fmt: skip
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(f": {out}")
    assert sum(f" on {data_path}: " in line for line in lines) == 1
    assert cli.main(words) == 0  # resumed
    assert capsys.readouterr().out.splitlines()[-1].endswith(f": {out}")
    assert cli.main(["knn-eval", str(out)]) == 0
    assert "kNN trained" in capsys.readouterr().out


def test_spaces_in_a_name_survive_a_message(refused, tmp_path):
    line = refused("pretrain", MAE, "--data.path", tmp_path / "two  words", "--out", tmp_path / "r")
    assert f'got "{tmp_path / "two  words"}", which does not exist' in line


def test_a_run_directory_that_is_not_utf8_is_refused_at_once(refused, npz, tmp_path):
    out = tmp_path / os.fsdecode(b"r\xe9sum\xc3\xa9")
    line = refused(*tiny_runs.words(MAE, npz, out))
    assert f"--out {tmp_path}/r\\xe9sumé: must be UTF-8" in line
    assert list(tmp_path.iterdir()) == []


def test_standard_output_takes_any_name(capsys):
    assert cli.main(["no-command"]) == 2
    print(os.fsdecode(b"caf\xe9"))
    assert capsys.readouterr().out == "caf\\udce9\n"
