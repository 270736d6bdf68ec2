"""The newcomer's files of docs/architecture.md, as they stand there, without a change of jaxssl."""

import re
from pathlib import Path

import pytest

from jaxssl import cli

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture
def written(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("standard_promotion")
def test_a_watcher_an_encoder_a_method_and_a_kind_of_data_are_a_file_each(written, capsys):
    assert len(FILES) == 5
    run = written / "run"
    pretrain = ["pretrain", str(written / "own.py"), "--out", str(run)]
    more = ["--encoder.width", "8", "--data.num-images", "48"]  # fields of one's own are options
    assert cli.main([*pretrain, *more]) == 0
    shown = capsys.readouterr().out
    assert "UpsideDown of a PatchMeans on gradients train: 48 images" in " ".join(shown.split())
    assert re.search(r"learning rate \d\.\d\de-0\d at step 4\n", shown)
    assert cli.main([*pretrain, *more]) == 0
    assert "resuming after step 6 of 6" in capsys.readouterr().out
    for command in ("linear-eval", "knn-eval", "report"):
        assert cli.main([command, str(run)]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "linear trained" in out and "views.svg" in out
    assert cli.main(["audit", str(run), "--num-fit", "48", "--num-score", "48"]) == 0
    assert "solvable" in capsys.readouterr().out
