"""Files and lines that the numbers of a run end up in."""

import io
import json
import re

import pytest
import watched_run
from rich.console import Console

from jaxssl.training import writers

ROW = {"step": 4, "loss": 1.25, "images_per_second": 12345.6, "seconds_left": 3725.0, "epoch": 0.5,
       "data_wait": 0.0}  # fmt: skip


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


@pytest.mark.parametrize(("resume_step", "kept"), [(0, []), (2, [1, 2]), (9, [1, 2, 3])])
def test_rows_after_the_step_that_a_run_resumes_from_are_dropped(tmp_path, resume_step, kept):
    path = tmp_path / "m.jsonl"
    write_lines(path, 1, 2, 3, tail='{"step": 4, "lo')
    lines = writers.JsonLines(path)
    lines.begin(watched_run.watched(tmp_path, step=resume_step))
    lines.see({"step": 10, "loss": 0.5})
    lines.sync()
    lines.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [*kept, 10]
    assert list(tmp_path.iterdir()) == [path]


def test_rows_are_taken_back_while_the_file_is_open(tmp_path):
    path = tmp_path / "m.jsonl"
    lines = writers.JsonLines(path)
    lines.begin(watched_run.watched(tmp_path))
    for step in (1, 2, 3):
        lines.see({"step": step})
    lines.cut(1)
    lines.see({"step": 2})
    lines.close()
    assert [row["step"] for row in writers.read(path)] == [1, 2]


def test_a_row_is_on_the_disk_when_it_is_written(tmp_path):
    lines = writers.JsonLines(tmp_path / "m.jsonl")
    lines.begin(watched_run.watched(tmp_path))
    lines.see(ROW)
    assert writers.read(tmp_path / "m.jsonl") == [ROW]
    lines.close()


def test_progress_elsewhere_than_in_a_terminal_is_a_line_a_row():
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=20))
    line.begin(watched_run.watched(None, total_steps=5000))
    for _ in range(2):
        assert line.follow(None, {}) == {}
    line.see(ROW)
    line.see(ROW | {"step": 8, "data_wait": 0.25, "mfu": 0.456, "peak_memory_gb": 12.34})
    line.close()
    begun, compiled, *lines = text.getvalue().splitlines()
    assert begun == "compiling the step" and re.fullmatch(r"compiled in [\d.]+ s", compiled)
    speed = "epoch 0.5  12,346 images/s (1,543 a device)"
    assert lines == [
        f"step 4/5000  loss 1.2500  {speed}  0:00:00 gone, 1:02:05 left",
        f"step 8/5000  loss 1.2500  {speed}  MFU 46%  waits 25% for data  12.3 GB  "
        "0:00:00 gone, 1:02:05 left",
    ]


def test_progress_in_a_terminal_is_live():
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    line = writers.ProgressLine(console)
    line.begin(watched_run.watched(None))
    line.see(ROW)
    line.close()
    assert "step 4/8" in text.getvalue()
    assert text.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("width", "parts"),
    [
        (
            120,
            "step 199960/200000  loss 11.2500  epoch 0.5  1,212,346 images/s (151,543 a device)"
            "  0:00:00 gone, 1:02:05 left",
        ),
        (80, "step 199960/200000  loss 11.2500  epoch 0.5  0:00:00 gone, 1:02:05 left"),
        (60, "step 199960/200000  0:00:00 gone, 1:02:05 left"),
        (40, "step 199960/200000"),
    ],
)
def test_a_narrow_terminal_shows_whole_numbers(width, parts):
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=width, force_terminal=True))
    line.begin(watched_run.watched(None, total_steps=200000))
    line.see(ROW | {"step": 199960, "loss": 11.25, "images_per_second": 1212345.6})
    line.close()
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", text.getvalue()).splitlines()[-1]
    shown = shown.rpartition("\r")[2]
    assert shown.endswith(f" {parts}")
    assert len(shown) <= width


def test_the_first_step_says_nothing_of_the_time_left():
    text = io.StringIO()
    line = writers.ProgressLine(Console(file=text, width=80))
    line.begin(watched_run.watched(None, step=3))
    line.see(ROW)
    line.close()
    assert text.getvalue().splitlines()[1:] == ["step 4/8  loss 1.2500"]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    assert writers.writers_of(tmp_path / "m.jsonl", [], Console()) == []
