"""The metrics of steps in flight: averaged, checked, handed on."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import watching
from jaxssl.training import rows as rows_of
from jaxssl.training.rows import DivergedError, Rows
from jaxssl.types import Plan

PLAN = Plan(batch_size=8, steps_per_epoch=5, total_steps=5)


class Seen(watching.Watcher):
    """Keeps every row."""

    def __init__(self):
        self.rows = []

    def see(self, row):
        self.rows.append(row)

    @property
    def losses(self):
        return {row["step"]: row["loss"] for row in self.rows}


@pytest.fixture
def seen():
    return Seen()


def open_rows(seen, *, every=2):
    return Rows(PLAN, lambda step: jnp.float32(step), every=every, watchers=seen)


def add(rows, *losses, first=1, **measured):
    for step, loss in enumerate(losses, first):
        rows.wait()
        rows.add(step, {"loss": jnp.float32(loss)}, measured)


def test_rows_average_and_the_last_step_always_has_one(seen):
    rows = open_rows(seen)
    add(rows, 1, 2, 3, 5, 7)
    assert rows.drain() == 18 / 5
    assert seen.losses == {2: 1.5, 4: 4, 5: 7}
    assert [row["learning_rate"] for row in seen.rows] == [1, 3, 4]  # of the step that was made
    assert seen.rows[-1]["seconds_left"] == 0 < seen.rows[0]["images_per_second"]


def test_the_time_left_is_that_of_steps_that_compile_nothing(seen, monkeypatch):
    """Here the first step compiles for 100 seconds, and what the first row measures for 50."""
    clock = iter([0, 100, 102, 104, 154, 156, 158, 164, 166])
    monkeypatch.setattr(rows_of, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    plan = PLAN._replace(total_steps=16)
    rows = Rows(plan, lambda step: jnp.float32(step), every=4, watchers=seen)
    add(rows, *range(9))
    assert [row["seconds_left"] for row in seen.rows] == [12 * 2, 8 * 3]
    assert [row["images_per_second"] for row in seen.rows] == [8 / 2, 8 / 3]


def test_waiting_for_data_is_loading_while_no_step_runs(seen, monkeypatch):
    """Steps take 3 seconds and batches 1; the first comes before any step, two when one is over."""
    now, done = [0.0], [0.0]
    monkeypatch.setattr(rows_of, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    rows = Rows(PLAN, lambda step: jnp.float32(step), every=2, watchers=seen, work=60, peak=10.0)

    class Value(np.ndarray):
        def is_ready(self):
            return now[0] >= done[0]

    def load():
        now[0] += 1
        return {"index": 5}

    for step, is_late in enumerate([False, False, True, True], 1):
        now[0] = max(now[0], done[0]) if is_late else now[0]
        assert rows.fetch(load) == {"index": 5}
        now[0] = max(now[0], done[0])
        rows.wait()
        done[0] = now[0] + 3
        rows.add(step, {"loss": np.zeros(()).view(Value)}, {})
    now[0] = done[0]
    rows.drain()
    # Of the 4 + 4 and 4 + 3 seconds between rows; the first step of all may have compiled.
    assert [row["data_wait"] for row in seen.rows] == [2 / 8, 1 / 7]
    assert [row["mfu"] for row in seen.rows] == [60 / 4 / 10, 60 / 3.5 / 10]
    assert [row["epoch"] for row in seen.rows] == [2 / 5, 4 / 5]


def test_what_was_measured_is_in_its_row_as_it_is(seen):
    rows = open_rows(seen)
    add(rows, 1, 2, size=jnp.float32(9))
    rows.drain()
    assert seen.rows[0]["size"] == 9


def test_rows_start_afresh_after_a_drain(seen):
    rows = open_rows(seen)
    add(rows, 1)
    assert rows.drain() == 1
    add(rows, 3, 5, first=2)
    assert rows.drain() == 4
    assert seen.losses == {2: 3}


def test_no_more_than_one_step_is_in_flight_on_cpu(seen):
    rows = open_rows(seen, every=1)
    add(rows, 1, 2, 3)
    assert list(seen.losses) == [1, 2]


@pytest.mark.parametrize("where", ["loss", "size"])
def test_an_infinite_metric_stops_before_its_row(seen, where):
    rows = open_rows(seen, every=1)
    add(rows, 1, size=jnp.float32(2))
    rows.wait()
    values = {"loss": jnp.float32(1), "size": jnp.float32(2)} | {where: -jnp.inf}
    rows.add(2, {"loss": values["loss"]}, {"size": values["size"]})
    with pytest.raises(DivergedError, match=rf"{where} is -inf at step 2: .*Lower optimizer.base_"):
        rows.drain()
    assert seen.losses == {1: 1}
