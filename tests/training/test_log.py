"""Files and lines that the numbers of a run end up in."""

import io
import json
import sys

import jax.numpy as jnp
import pytest
from rich.console import Console

from jaxssl.training import log, metrics

ROW = {"step": 4, "loss": 1.25, "images_per_second": 12345.6, "seconds_left": 3725.0}


def write_lines(path, *steps, tail=""):
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in steps) + tail)


@pytest.mark.parametrize("tail", ["", '{"step": 4, "lo', '{"step"', "{", "\0\0\0", "\n"])
def test_a_line_that_a_crash_cut_short_is_not_read(tmp_path, tail):
    write_lines(tmp_path / "m.jsonl", 1, 2, 3, tail=tail)
    assert [row["step"] for row in metrics.read(tmp_path / "m.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize(("resume_step", "kept"), [(0, []), (2, [1, 2]), (9, [1, 2, 3])])
def test_rows_after_the_step_that_a_run_resumes_from_are_dropped(tmp_path, resume_step, kept):
    path = tmp_path / "m.jsonl"
    write_lines(path, 1, 2, 3, tail='{"step": 4, "lo')
    lines = metrics.JsonLines(path, resume_step=resume_step)
    lines.write({"step": 10, "loss": 0.5})
    lines.sync()
    lines.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [*kept, 10]
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_is_on_the_disk_when_it_is_written(tmp_path):
    lines = metrics.JsonLines(tmp_path / "m.jsonl", resume_step=0)
    lines.write(ROW)
    assert metrics.read(tmp_path / "m.jsonl") == [ROW]
    lines.close()


def test_tensorboard_gets_the_rows(tmp_path):
    writer = metrics.TensorBoard(tmp_path, resume_step=0)
    writer.write(ROW)
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
        open_log(tmp_path, tensorboard=True)


def test_progress_elsewhere_than_in_a_terminal_is_a_line_a_row():
    text = io.StringIO()
    line = metrics.ProgressLine(
        start_step=0, total_steps=5000, console=Console(file=text, width=20)
    )
    line.update(ROW)
    line.close()
    assert text.getvalue() == "step 4/5000  loss 1.2500  12,346 images/s  1:02:05 left\n"


def test_progress_in_a_terminal_is_live():
    text = io.StringIO()
    console = Console(file=text, width=100, force_terminal=True)
    line = metrics.ProgressLine(start_step=0, total_steps=8, console=console)
    line.update(ROW)
    line.close()
    assert "step 4/8" in text.getvalue()
    assert text.getvalue().count("\n") == 1


def open_log(out, *, every=2, tensorboard=False, console=None):
    return log.Log(
        out,
        lambda step: jnp.float32(step),
        first_step=0,
        last_step=5,
        batch_size=8,
        every=every,
        tensorboard=tensorboard,
        console=console or Console(file=io.StringIO()),
    )


def add(written, *losses, first=1):
    for step, loss in enumerate(losses, first):
        written.wait()
        written.add(step, {"loss": jnp.float32(loss)})


def read_losses(out):
    return {row["step"]: row["loss"] for row in metrics.read(out / metrics.FILE)}


def test_rows_average_and_the_last_step_is_always_written(tmp_path):
    with open_log(tmp_path) as written:
        add(written, 1, 2, 3, 5, 7)
        assert written.drain() == 18 / 5
    assert read_losses(tmp_path) == {2: 1.5, 4: 4, 5: 7}


def test_rows_start_afresh_after_a_drain(tmp_path):
    with open_log(tmp_path) as written:
        add(written, 1)
        assert written.drain() == 1
        add(written, 3, 5, first=2)
        assert written.drain() == 4
    assert read_losses(tmp_path) == {2: 3}


def test_no_more_than_one_step_is_in_flight_on_cpu(tmp_path):
    with open_log(tmp_path, every=1) as written:
        add(written, 1, 2, 3)
        assert list(read_losses(tmp_path)) == [1, 2]
        written.drain()


def test_an_infinite_metric_stops_before_its_row(tmp_path):
    with pytest.raises(log.DivergedError, match=r"loss is -inf at step 2: .*Lower optimizer.base_"):
        with open_log(tmp_path, every=1) as written:
            add(written, 1, -jnp.inf)
            written.drain()
    assert read_losses(tmp_path) == {1: 1}


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    with open_log(tmp_path) as written:
        add(written, 1, 2, 3)
        assert written.drain() == 2
    assert not list(tmp_path.iterdir())
