"""The loop: what it writes, how it stops, that it goes on exactly."""

import dataclasses
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_loop

from jaxssl import checkpoints, sharding
from jaxssl.training import loop, writers
from jaxssl.training.rows import DivergedError


def test_checkpoints_and_rows_of_a_whole_run(whole):
    out, _ = whole
    assert checkpoints.complete_steps(out) == [3, 6, 9, 10]
    assert [row["step"] for row in tiny_loop.rows(out)] == list(range(1, 11))
    assert tiny_loop.rows(out)[0].keys() == {
        "step", "epoch", "loss", "noise", "grad_norm", "update_norm", "learning_rate",
    }  # fmt: skip
    state = tiny_loop.final_state(out)
    assert state.step == 10
    assert state.state["count"] == 10
    for row in writers.read(out / "metrics.jsonl"):
        assert row["learning_rate"] == pytest.approx(0.1 / row["step"])
        assert row["images_per_second"] > 0
        assert (row["seconds_left"] == 0) == (row["step"] == 10)


def test_a_row_is_the_mean_since_the_row_or_checkpoint_before(whole, tmp_path):
    tiny_loop.train(
        tmp_path, run=dataclasses.replace(tiny_loop.RUN, log_every=4, checkpoint_every=5)
    )
    single = {row["step"]: row for row in tiny_loop.rows(whole[0])}
    expected = {4: (1, 2, 3, 4), 8: (6, 7, 8), 10: (9, 10)}
    got = tiny_loop.rows(tmp_path)
    assert [row["step"] for row in got] == list(expected)
    for row in got:
        steps = expected[row["step"]]
        for name in ("loss", "noise", "grad_norm"):
            mean = np.mean([single[step][name] for step in steps])
            assert row[name] == pytest.approx(mean, rel=1e-12)


def test_loss_of_a_checkpoint_is_the_mean_since_the_one_before(whole):
    single = [row["loss"] for row in tiny_loop.rows(whole[0])]
    for step, first in ((3, 0), (6, 3), (10, 9)):
        path = whole[0] / "checkpoints" / str(step) / "metrics" / "metrics"
        loss = float(re.search(r'"loss": ([^}]*)', path.read_text())[1])
        assert loss == pytest.approx(np.mean(single[first:step]), rel=1e-12)


def test_first_line_says_what_will_happen(whole):
    first, takes, begun, compiled, *rest = whole[1].splitlines()
    assert begun == "compiling the step" and compiled.startswith("compiled in ")
    assert first == (
        "8 cpu devices, batch 8 (1 a device), 10 steps (2 epochs), 9 parameters (8 in the "
        "encoder), 0.0 GFLOP a step"
    )
    assert re.match(r"about 0\.00 GB a device: parameters 0\.00, gradients 0\.00, optimizer", takes)
    assert len(rest) == 10
    speed = r"[\d,]+ images/s \([\d,]+ a device\)(  waits \d+% for data)?"
    pattern = rf"step 10/10  loss 0\.\d{{4}}  epoch 2  {speed}  0:\d\d:\d\d gone, 0:00:00 left"
    assert re.fullmatch(pattern, rest[-1])


@pytest.mark.parametrize(
    ("normalises", "said"), [(False, ""), (True, ", each normalised by statistics of its own")]
)
def test_first_line_says_what_goes_through_the_encoder(normalises, said):
    def init(key, views):
        params, state = tiny_loop.method().init(key, views)
        return params, state | {"encoder": {"batch_stats": {}} if normalises else {}}

    line = tiny_loop.job(of=tiny_loop.method()._replace(init=init), num_micro_batches=4).describe()
    parts = f"; through the encoder in 4 micro-batches of 2{said}"
    assert f", batch 8 (1 a device{parts}), 10 steps" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_next_call_goes_on_exactly(whole, tmp_path, number):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    outcome, _ = tiny_loop.train(
        tmp_path, tiny_loop.Loader(lambda: os.kill(os.getpid(), number), at=4)
    )
    assert outcome == loop.Outcome(step=5, total_steps=10, stopped=True)
    assert checkpoints.complete_steps(tmp_path) == [3, 5]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    outcome, text = tiny_loop.train(tmp_path)
    assert "resuming after step 5 of 10" in text
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    tiny_loop.assert_same_bits(tmp_path, whole[0])


def test_a_second_signal_does_not_wait_for_a_save(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny_loop.train(tmp_path, tiny_loop.Loader(twice, at=4))
    assert checkpoints.complete_steps(tmp_path) == [3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_ends_between_checkpoints_is_done_again_exactly(whole, tmp_path):
    def fail():
        raise OSError("disk gone")

    run = dataclasses.replace(tiny_loop.RUN, log_every=2)
    with pytest.raises(OSError, match="disk gone"):
        tiny_loop.train(tmp_path / "broken", tiny_loop.Loader(fail, at=8), run=run)
    assert [row["step"] for row in tiny_loop.rows(tmp_path / "broken")][-1] == 6
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "loss": 0.1}\n{"step": 9, "lo')
    tiny_loop.train(tmp_path / "broken", run=run)
    tiny_loop.train(tmp_path / "whole", run=run)
    assert [row["step"] for row in tiny_loop.rows(tmp_path / "whole")] == [2, 4, 6, 8, 10]
    tiny_loop.assert_same_bits(tmp_path / "broken", tmp_path / "whole")
    jax.tree.map(
        np.testing.assert_array_equal,
        tiny_loop.final_state(tmp_path / "whole"),
        tiny_loop.final_state(whole[0]),
    )


def test_a_finished_run_is_left_alone(whole):
    out, _ = whole
    before = tiny_loop.rows(out)
    loader = tiny_loop.Loader()
    outcome, text = tiny_loop.train(out, loader)
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    assert "resuming after step 10 of 10" in text
    assert not loader.asked
    assert tiny_loop.rows(out) == before


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_backend_changes_no_number(whole, tmp_path, backend):
    tiny_loop.train(tmp_path, run=dataclasses.replace(tiny_loop.RUN, backend=backend))
    for got, expected in zip(tiny_loop.rows(tmp_path), tiny_loop.rows(whole[0]), strict=True):
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shard", ["state", "params"])
def test_a_divided_state_changes_no_number_and_goes_on_undivided(
    whole, tmp_path, monkeypatch, shard
):
    monkeypatch.setattr(sharding, "MIN_SIZE", 8)
    lie = tiny_loop.job(backend="jit", shard=shard).lie
    assert lie.params["encoder"].is_fully_replicated == (shard == "state")
    assert not lie.opt_state[0].mu["encoder"].is_fully_replicated

    def fail():
        raise OSError("disk gone")

    run = dataclasses.replace(tiny_loop.RUN, backend="jit", shard=shard)
    with pytest.raises(OSError, match="disk gone"):
        tiny_loop.train(tmp_path, tiny_loop.Loader(fail, at=7), run=run)
    tiny_loop.train(tmp_path, run=dataclasses.replace(tiny_loop.RUN, backend="pmap"))
    for got, expected in zip(tiny_loop.rows(tmp_path), tiny_loop.rows(whole[0]), strict=True):
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "value"), [("loss", "nan"), ("noise", "inf")])
def test_a_diverging_metric_is_named_and_nothing_saved_after_it(tmp_path, name, value):
    of = tiny_loop.method(diverging=name, at=6)
    for _ in range(2):  # a rerun comes to the same end
        with pytest.raises(DivergedError, match=f"^{name} is {value} at step 7: the run stopp"):
            tiny_loop.train(tmp_path, of=of)
        assert checkpoints.complete_steps(tmp_path) == [3, 6]
        assert [row["step"] for row in tiny_loop.rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    state = tiny_loop.final_state(tmp_path)
    assert state.step == 6
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))


def test_divergence_in_the_step_of_a_checkpoint_is_not_saved(tmp_path):
    with pytest.raises(DivergedError, match="loss is nan at step 6"):
        tiny_loop.train(tmp_path, of=tiny_loop.method(diverging="loss", at=5))
    assert checkpoints.complete_steps(tmp_path) == [3]


def test_metrics_come_to_the_host_once_for_each_row(tmp_path, monkeypatch):
    """Whoever reads a value of a step waits for it; beside the loop's one read nobody does."""
    array, get, value = type(jnp.float32(0)), jax.device_get, type(jnp.float32(0))._value
    reads, is_reading, num_reads = [], [], []

    def counted_get(tree):
        reads.append("device_get")
        is_reading.append(True)
        try:
            return get(tree)
        finally:
            is_reading.pop()

    def counted_value(self):
        if not is_reading:
            reads.append("value")
        return value.fget(self)

    class Counting(tiny_loop.Loader):
        def batch(self, step):
            num_reads.append(len(reads))
            return super().batch(step)

    monkeypatch.setattr(jax, "device_get", counted_get)
    monkeypatch.setattr(array, "_value", property(counted_value))
    run = dataclasses.replace(tiny_loop.RUN, log_every=2, checkpoint_every=100)
    tiny_loop.train(tmp_path, Counting(), run=run)
    # The step before last has been waited for when a batch is loaded: rows 2, 4, 6, 8 by the tenth.
    assert num_reads == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4], reads


def test_meta_is_saved_with_every_step(whole):
    assert checkpoints.read_meta(whole[0], 6) == {**tiny_loop.META, "step": 6}
