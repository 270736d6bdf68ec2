"""Files and lines that the numbers of a run end up in."""

import io
import json
import re
import sys

import pytest
from rich.console import Console

from jaxssl import watching
from jaxssl.training import writers
from jaxssl.types import Plan

ROW = {"step": 4, "loss": 1.25, "images_per_second": 12345.6, "seconds_left": 3725.0}


def write_lines(path, *steps, tail=""):
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in steps) + tail)


TAILS = [
    '{"step": 4, "lo',
    '{"step"',
    "{",
    "\0\0\0",
    "\n",
    "4",
    "{}",
    '{"step": null}',
    "[" * 10**5,
]


@pytest.mark.parametrize("tail", ["", *TAILS], ids=lambda each: each[:9])
def test_a_line_that_a_crash_cut_short_is_not_read(tmp_path, tail):
    write_lines(tmp_path / "m.jsonl", 1, 2, 3, tail=tail)
    assert [row["step"] for row in writers.read(tmp_path / "m.jsonl")] == [1, 2, 3]


def watched(out, *, step=0, total_steps=8):
    """A run as its writers see it."""
    return watching.WatchedRun(
        out=out,
        method=None,
        pooled_features=None,
        plan=Plan(8, 8, total_steps),
        seed=0,
        schedule=None,
        step=step,
        history=(),
        console=None,
        newest_checkpoint=None,
        rewind=None,
    )


@pytest.mark.parametrize(("resume_step", "kept"), [(0, []), (2, [1, 2]), (9, [1, 2, 3])])
def test_rows_after_the_step_that_a_run_resumes_from_are_dropped(tmp_path, resume_step, kept):
    path = tmp_path / "m.jsonl"
    write_lines(path, 1, 2, 3, tail='{"step": 4, "lo')
    lines = writers.JsonLines(path)
    lines.begin(watched(tmp_path, step=resume_step))
    lines.see({"step": 10, "loss": 0.5})
    lines.sync()
    lines.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [*kept, 10]
    assert list(tmp_path.iterdir()) == [path]


def test_rows_are_taken_back_while_the_file_is_open(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = writers.JsonLines(path)
    lines.begin(watched(tmp_path))
    for step in (1, 2, 3):
        lines.see({"step": step})
    lines.cut(1)
    lines.see({"step": 2})
    lines.close()
    assert [row["step"] for row in writers.read(path)] == [1, 2]


def test_a_row_is_on_the_disk_when_it_is_written(tmp_path):
    lines = writers.JsonLines(tmp_path / "m.jsonl")
    lines.begin(watched(tmp_path))
    lines.see(ROW)
    assert writers.read(tmp_path / "m.jsonl") == [ROW]
    lines.close()


def test_tensorboard_gets_the_rows(tmp_path):
    writer = writers.TensorBoard(tmp_path)
    writer.begin(watched(tmp_path))
    writer.see(ROW)
    writer.sync()
    writer.close()
    (file,) = tmp_path.glob("events.out.tfevents.*")
    content = file.read_bytes()
    assert b"loss" in content
    assert b"images_per_second" in content
    assert b"step" not in content


def test_missing_tensorboard_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    text = (
        r'^run.tensorboard: needs the extra; install it with: pip install "jaxssl\[tensorboard\]"'
    )
    with pytest.raises(ImportError, match=text):
        writers.writers_of(tmp_path / "m.jsonl", tmp_path, Console())


def test_progress_elsewhere_than_in_a_terminal_is_a_line_a_row():
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=20))
    line.begin(watched(None, total_steps=5000))
    line.see(ROW)
    line.close()
    assert text.getvalue() == "step 4/5000  loss 1.2500  12,346 images/s  1:02:05 left\n"


def test_progress_in_a_terminal_is_live():
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    line = writers.ProgressLine(console)
    line.begin(watched(None))
    line.see(ROW)
    line.close()
    assert "step 4/8" in text.getvalue()
    assert text.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (100, "step 199960/200000  loss 11.2500  1,212,346 images/s  1:02:05 left"),
        (80, "step 199960/200000  loss 11.2500  1,212,346 images/s  1:02:05 left"),
        (60, "step 199960/200000  loss 11.2500  1:02:05 left"),
        (40, "step 199960/200000  1:02:05 left"),
        (30, "step 199960/200000"),
    ],
)
def test_a_narrow_terminal_shows_whole_numbers(width, parts):
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=width, force_terminal=True))
    line.begin(watched(None, total_steps=200000))
    line.see(ROW | {"step": 199960, "loss": 11.25, "images_per_second": 1212345.6})
    line.close()
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", text.getvalue()).splitlines()[-1]
    shown = shown.rpartition("\r")[2]
    assert shown.endswith(f" {parts}")
    assert len(shown) <= width


def test_the_first_step_says_nothing_of_the_time_left():
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=80))
    line.begin(watched(None, step=3))
    line.see(ROW)
    line.close()
    assert text.getvalue() == "step 4/8  loss 1.2500\n"


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    assert writers.writers_of(tmp_path / "m.jsonl", tmp_path / "events", Console()) == []
