"""The loop on a method of four weights: what it writes, how it stops, that it goes on exactly."""

import dataclasses
import io
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from rich.console import Console

from jaxssl import checkpoints, models, sharding, watching
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop, writers
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.job import Job
from jaxssl.training.rows import DivergedError
from jaxssl.types import Method

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 4, 1), dtype=np.uint8)
TRAINING = TrainingConfig(batch_size=8, epochs=2, seed=3)  # 10 steps
RUN = RunConfig(log_every=1, checkpoint_every=3, keep_checkpoints=9)
OPTIMIZER = optax.adam(0.1)
META = tiny.meta(models.ViTConfig())


def schedule(step):
    return jnp.float32(0.1) / (step + 1)


def method(*, diverging=None, at=None):
    """Linear regression on noise from the example's key; one metric can be made infinite."""

    def view(key, example):
        pixels = example["image"].astype(jnp.float32).reshape(-1) / 255
        return {"pixels": pixels, "noise": jax.random.uniform(key)}

    def loss(params, state, views, key, clock):
        del key
        values = (views["pixels"] @ params["encoder"] + params["head"] - views["noise"]) ** 2
        noise = views["noise"].mean()
        if diverging == "loss":
            values = jnp.where(clock.step == at, jnp.nan, values)
        elif diverging == "noise":
            noise = jnp.where(clock.step == at, jnp.inf, noise)
        return values, ({"count": state["count"] + 1}, {"noise": noise})

    return Method(
        view=view,
        init=lambda key, views: (
            {"encoder": jnp.full(8, 0.5), "head": jnp.float32(0)},
            {"count": jnp.int32(0)},
        ),
        loss=loss,
        advance=lambda params, state, clock: state,
        encoder=lambda params, state: {"params": params["encoder"]},
        inputs=dict,
    )


class Loader:
    """Stands in for data.Loader; does something of the test's choice before a batch."""

    steps_per_epoch = 5

    def __init__(self, before=None, at=None):
        self._before, self._at = before, at
        self.asked = []

    def batch(self, step):
        self.asked.append(step)
        if step == self._at:
            self._before()
        return {"image": IMAGES[step * 4 % 32 :][:8]}

    def example(self):
        return {"image": IMAGES[:1]}


def job(loader=None, of=None, **how):
    return Job(
        method=of or method(),
        optimizer=OPTIMIZER,
        schedule=schedule,
        loader=loader or Loader(),
        plan=TRAINING.plan(Loader.steps_per_epoch),
        seed=TRAINING.seed,
        meta=META,
        **how,
    )


def train(out, loader=None, *, run=RUN, of=None, watchers=None):
    """One call of the loop; returns the outcome and what the console shows."""
    text = io.StringIO()
    out.mkdir(exist_ok=True)
    console = Console(file=text, width=80)
    outcome = loop.train(
        job(loader, of, backend=run.backend, shard=run.shard),
        run,
        RunDirectory(out),
        console,
        watchers,
    )
    return outcome, text.getvalue()


def final_state(out):
    return checkpoints.restore_state(out, jax.eval_shape(job().initial_state))


def rows(out):
    return [
        {name: value for name, value in row.items() if name not in watching.TIMES}
        for row in writers.read(out / "metrics.jsonl")
    ]


def assert_same_bits(got, expected):
    jax.tree.map(np.testing.assert_array_equal, final_state(got), final_state(expected))
    assert rows(got) == rows(expected)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole")
    with jax.numpy_dtype_promotion("standard"):
        outcome, text = train(out)
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    return out, text


def test_checkpoints_and_rows_of_a_whole_run(whole):
    out, _ = whole
    assert checkpoints.complete_steps(out) == [3, 6, 9, 10]
    assert [row["step"] for row in rows(out)] == list(range(1, 11))
    assert rows(out)[0].keys() == {
        "step", "epoch", "loss", "noise", "grad_norm", "update_norm", "learning_rate",
    }  # fmt: skip
    state = final_state(out)
    assert state.step == 10
    assert state.state["count"] == 10
    for row in writers.read(out / "metrics.jsonl"):
        assert row["learning_rate"] == pytest.approx(0.1 / row["step"])
        assert row["images_per_second"] > 0
        assert (row["seconds_left"] == 0) == (row["step"] == 10)


def test_a_row_is_the_mean_since_the_row_or_checkpoint_before(whole, tmp_path):
    train(tmp_path, run=dataclasses.replace(RUN, log_every=4, checkpoint_every=5))
    single = {row["step"]: row for row in rows(whole[0])}
    expected = {4: (1, 2, 3, 4), 8: (6, 7, 8), 10: (9, 10)}
    got = rows(tmp_path)
    assert [row["step"] for row in got] == list(expected)
    for row in got:
        steps = expected[row["step"]]
        for name in ("loss", "noise", "grad_norm"):
            mean = np.mean([single[step][name] for step in steps])
            assert row[name] == pytest.approx(mean, rel=1e-12)


def test_loss_of_a_checkpoint_is_the_mean_since_the_one_before(whole):
    single = [row["loss"] for row in rows(whole[0])]
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
        params, state = method().init(key, views)
        return params, state | {"encoder": {"batch_stats": {}} if normalises else {}}

    line = job(of=method()._replace(init=init), num_micro_batches=4).describe()
    parts = f"; through the encoder in 4 micro-batches of 2{said}"
    assert f", batch 8 (1 a device{parts}), 10 steps" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_next_call_goes_on_exactly(whole, tmp_path, number):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    outcome, _ = train(tmp_path, Loader(lambda: os.kill(os.getpid(), number), at=4))
    assert outcome == loop.Outcome(step=5, total_steps=10, stopped=True)
    assert checkpoints.complete_steps(tmp_path) == [3, 5]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    outcome, text = train(tmp_path)
    assert "resuming after step 5 of 10" in text
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    assert_same_bits(tmp_path, whole[0])


def test_a_second_signal_does_not_wait_for_a_save(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, Loader(twice, at=4))
    assert checkpoints.complete_steps(tmp_path) == [3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_ends_between_checkpoints_is_done_again_exactly(whole, tmp_path):
    def fail():
        raise OSError("disk gone")

    run = dataclasses.replace(RUN, log_every=2)
    with pytest.raises(OSError, match="disk gone"):
        train(tmp_path / "broken", Loader(fail, at=8), run=run)
    assert [row["step"] for row in rows(tmp_path / "broken")][-1] == 6
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "loss": 0.1}\n{"step": 9, "lo')
    train(tmp_path / "broken", run=run)
    train(tmp_path / "whole", run=run)
    assert [row["step"] for row in rows(tmp_path / "whole")] == [2, 4, 6, 8, 10]
    assert_same_bits(tmp_path / "broken", tmp_path / "whole")
    jax.tree.map(
        np.testing.assert_array_equal, final_state(tmp_path / "whole"), final_state(whole[0])
    )


def test_a_finished_run_is_left_alone(whole):
    out, _ = whole
    before = rows(out)
    loader = Loader()
    outcome, text = train(out, loader)
    assert outcome == loop.Outcome(step=10, total_steps=10, stopped=False)
    assert "resuming after step 10 of 10" in text
    assert not loader.asked
    assert rows(out) == before


@pytest.mark.parametrize("backend", ["jit", "shard_map"])
def test_backend_changes_no_number(whole, tmp_path, backend):
    train(tmp_path, run=dataclasses.replace(RUN, backend=backend))
    for got, expected in zip(rows(tmp_path), rows(whole[0]), strict=True):
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shard", ["state", "params"])
def test_a_divided_state_changes_no_number_and_goes_on_undivided(
    whole, tmp_path, monkeypatch, shard
):
    monkeypatch.setattr(sharding, "MIN_SIZE", 8)
    lie = job(backend="jit", shard=shard).lie
    assert lie.params["encoder"].is_fully_replicated == (shard == "state")
    assert not lie.opt_state[0].mu["encoder"].is_fully_replicated

    def fail():
        raise OSError("disk gone")

    run = dataclasses.replace(RUN, backend="jit", shard=shard)
    with pytest.raises(OSError, match="disk gone"):
        train(tmp_path, Loader(fail, at=7), run=run)
    train(tmp_path, run=dataclasses.replace(RUN, backend="pmap"))
    for got, expected in zip(rows(tmp_path), rows(whole[0]), strict=True):
        assert got == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "value"), [("loss", "nan"), ("noise", "inf")])
def test_a_diverging_metric_is_named_and_nothing_saved_after_it(tmp_path, name, value):
    of = method(diverging=name, at=6)
    for _ in range(2):  # a rerun comes to the same end
        with pytest.raises(DivergedError, match=f"^{name} is {value} at step 7: the run stopp"):
            train(tmp_path, of=of)
        assert checkpoints.complete_steps(tmp_path) == [3, 6]
        assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    state = final_state(tmp_path)
    assert state.step == 6
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state))


def test_divergence_in_the_step_of_a_checkpoint_is_not_saved(tmp_path):
    with pytest.raises(DivergedError, match="loss is nan at step 6"):
        train(tmp_path, of=method(diverging="loss", at=5))
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

    class Counting(Loader):
        def batch(self, step):
            num_reads.append(len(reads))
            return super().batch(step)

    monkeypatch.setattr(jax, "device_get", counted_get)
    monkeypatch.setattr(array, "_value", property(counted_value))
    run = dataclasses.replace(RUN, log_every=2, checkpoint_every=100)
    train(tmp_path, Counting(), run=run)
    # The step before last has been waited for when a batch is loaded: rows 2, 4, 6, 8 by the tenth.
    assert num_reads == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4], reads


def test_meta_is_saved_with_every_step(whole):
    assert checkpoints.read_meta(whole[0], 6) == {**META, "step": 6}


class Measuring(watching.Watcher):
    """Measures every row with a program of its own; keeps what it was told."""

    def __init__(self):
        self.heard = []

    def begin(self, run):
        self.heard.append(("begin", run.step, len(run.history)))

    def measure(self, state, batch):
        return {"size": jax.jit(lambda x: jnp.sum(jnp.square(x)))(state.params["encoder"])}

    def see(self, row):
        self.heard.append(("see", row["step"], row["size"]))

    def sync(self):
        self.heard.append(("sync",))

    def close(self):
        self.heard.append(("close",))


def test_a_watcher_sees_the_run_and_changes_no_number_of_it(whole, tmp_path):
    """With all watchers, with one of somebody's own, with none: the same bits."""
    watcher = Measuring()
    train(tmp_path / "own", watchers=[watcher])
    train(tmp_path / "none", watchers=[])
    assert not (tmp_path / "none" / "metrics.jsonl").exists()
    for out in (tmp_path / "own", tmp_path / "none"):
        jax.tree.map(np.testing.assert_array_equal, final_state(out), final_state(whole[0]))
    assert watcher.heard[0] == ("begin", 0, 0) and watcher.heard[-1] == ("close",)
    seen = [each for each in watcher.heard if each[0] == "see"]
    assert [step for _, step, _ in seen] == list(range(1, 11))
    assert seen[-1][2] == pytest.approx(float((final_state(whole[0]).params["encoder"] ** 2).sum()))
    assert sum(each == ("sync",) for each in watcher.heard) == 4  # one a checkpoint


def test_a_watcher_may_forbid_a_save_and_end_a_run(tmp_path):
    class Strict(watching.Watcher):
        def allows_save(self, state, batch):
            return int(state.step) != 6

        def see(self, row):
            if row["step"] == 8:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(tmp_path, watchers=[Strict()])
    assert checkpoints.complete_steps(tmp_path) == [3]


def test_watchers_of_a_recipe_are_built_for_each_call(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Config:
        def build(self):
            built.append(Measuring())
            return built[-1]

    built = []
    run = dataclasses.replace(RUN, watchers=(Config(),))
    for _ in range(2):
        train(tmp_path, run=run)
    first, again = (watcher.heard for watcher in built)
    assert first[0] == ("begin", 0, 0) and again == [("begin", 10, 10), ("close",)]


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "expected"),
    [(2, 5, 10), (0.5, 5, 2), (0.01, 5, 1), (1.3, 10, 13)],
)
def test_total_steps(epochs, steps_per_epoch, expected):
    assert TrainingConfig(epochs=epochs).plan(steps_per_epoch).total_steps == expected


@pytest.mark.parametrize(
    ("config", "field", "value", "text"),
    [
        (TrainingConfig, "epochs", 0, "training.epochs: must be finite and above 0; got 0"),
        (TrainingConfig, "seed", -1, r"training.seed: must be in \[0, 2147483648\); got -1"),
        (RunConfig, "log_every", 0, "run.log_every: must be at least 1; got 0"),
        (
            RunConfig,
            "checkpoint_every",
            -5,
            "run.checkpoint_every: must be at least 1; got -5",
        ),
        (RunConfig, "keep_checkpoints", 0, "run.keep_checkpoints: must be at least 1; got 0"),
    ],
)
def test_wrong_values_are_named(config, field, value, text):
    with pytest.raises(ValueError, match=text):
        config(**{field: value})
