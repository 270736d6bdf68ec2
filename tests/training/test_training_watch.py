"""Collapse: what is measured in every row, and what a run does that collapses at a known step."""

import dataclasses
import io
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from jaxssl import checkpoints, cli, collapse, parallel, pretraining
from jaxssl.training import guard, log, loop, metrics, watch
from jaxssl.training import step as training_step
from jaxssl.types import Embeddings, Method

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1), dtype=np.uint8)
BATCH = {"image": IMAGES[:8]}
TRAINING = loop.TrainingConfig(batch_size=8, epochs=2, seed=3)  # 10 steps
CONFIG = guard.CollapseConfig(patience=3, grace_steps=0)
RUN = loop.RunConfig(log_every=1, checkpoint_every=2, keep_checkpoints=9, collapse=CONFIG)
OPTIMIZER = optax.sgd(0.01)
TIMES = {"images_per_second", "seconds_left"}
OF_EMBEDDINGS = {
    "embedding_spread", "embedding_rank", "embedding_scale", "alignment", "uniformity",
    "neighbour_distance", "prototypes_used",
}  # fmt: skip


def method(*, dead=lambda count: False, compares_views=True):
    """A linear map of noisy pixels, all of whose embeddings are one while ``dead(steps done)``."""

    def view(key, example):
        pixels = example["image"].astype(jnp.float32).reshape(-1) / 255
        return {"a": pixels, "b": pixels + 0.1 * jax.random.normal(key, pixels.shape)}

    def loss(params, state, views, key, clock):
        del key, clock
        values = jnp.square((views["a"] - views["b"]) @ params["encoder"]).mean(axis=1)
        return values, ({"count": state["count"] + 1}, {})

    def embed(params, state, views):
        alive = jnp.where(dead(state["count"]), 0.0, 1.0)
        first, second = (
            alive * (each @ params["encoder"]) + (1 - alive) for each in (views["a"], views["b"])
        )
        return Embeddings(first, second, jax.nn.softmax(first))

    return Method(
        view=view,
        init=lambda key, views: (
            {"encoder": jax.random.normal(key, (4, 6))},
            {"count": jnp.int32(0)},
        ),
        loss=loss,
        advance=lambda params, state, clock: state,
        encoder=lambda params, state: {"params": params["encoder"]},
        embed=embed if compares_views else None,
    )


def features(variables, batch):
    return batch["image"].reshape(-1, 4).astype(jnp.float32) @ variables["params"]


class Loader:
    """Stands in for data.Loader; may send this process a signal before a batch."""

    steps_per_epoch = 5

    def __init__(self, stop_at=None):
        self._stop_at = stop_at

    def batch(self, step):
        if step == self._stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"image": IMAGES[step * 4 % 32 :][:8]}


def train(out, *, of=None, loader=None, run=RUN, features=None, **collapse_fields):
    """One call of the loop; returns the outcome and what the console shows."""
    text = io.StringIO()
    run = dataclasses.replace(run, collapse=dataclasses.replace(run.collapse, **collapse_fields))
    outcome = loop.train(
        of or method(),
        OPTIMIZER,
        loader or Loader(),
        training=TRAINING,
        run=run,
        schedule=lambda step: jnp.float32(0.01),
        out=out,
        meta={},
        console=Console(file=text, width=80),
        features=features,
    )
    return outcome, text.getvalue()


def rows(out):
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in metrics.read(out / metrics.FILE)
    ]


def measured(row):
    return {name.removeprefix(watch.PREFIX) for name in row if name.startswith(watch.PREFIX)}


def last(dead_from):
    """``dead`` of a method that collapses for good with a step."""
    return lambda count: count >= dead_from


# --- what is measured ---------------------------------------------------------------------------


def state_after(num_steps):
    state = training_step.init_state(method(), OPTIMIZER, BATCH, seed=3)
    step = jax.jit(training_step.make_step(method(), OPTIMIZER, seed=3))
    for _ in range(num_steps):
        state, _ = step(state, BATCH)
    return state


def test_measures_the_views_of_the_step_and_the_state_after_it():
    state = state_after(3)
    got = jax.jit(watch.make_watch(method(), seed=3, features=features))(state, BATCH)
    # The third step's keys: two steps were completed when it began.
    views = training_step.make_views(
        method(), BATCH, training_step.example_keys(3, jnp.int32(2), 8, None)
    )
    first, second, assignments = method().embed(state.params, state.state, views)
    plain = features({"params": state.params["encoder"]}, BATCH)
    unit = np.asarray(first) / np.linalg.norm(first, axis=1, keepdims=True)
    expected = {
        "feature_spread": collapse.feature_std(plain) * np.sqrt(np.float32(6)),
        "feature_rank": collapse.effective_rank(plain),
        "embedding_spread": unit.std(axis=0).mean() * np.sqrt(6),
        "embedding_rank": collapse.effective_rank(first),
        "embedding_scale": np.asarray(first).std(axis=0).mean(),
        "alignment": collapse.alignment(first, second),
        "uniformity": collapse.uniformity(first),
        "neighbour_distance": collapse.neighbour_distance(first),
        "prototypes_used": np.exp(collapse.usage_entropy(assignments)),
    }
    assert got.keys() == {watch.PREFIX + name for name in expected}
    for name, value in expected.items():
        np.testing.assert_allclose(got[watch.PREFIX + name], value, rtol=1e-5, err_msg=name)
        assert got[watch.PREFIX + name].dtype == jnp.float32


@pytest.mark.parametrize("max_rows", [2048, 6])
def test_the_number_of_devices_changes_no_number(monkeypatch, max_rows):
    monkeypatch.setattr(watch, "MAX_ROWS", max_rows)
    of, state = method(), jax.device_get(state_after(2))
    expected = jax.jit(watch.make_watch(of, seed=3, features=features))(state, BATCH)
    for num_devices in (1, 8):
        devices = jax.devices()[:num_devices]
        measure = parallel.measured(
            watch.make_watch(of, seed=3, axis_name=loop.AXIS, features=features), devices=devices
        )
        placed = parallel.replicate(state, devices)
        for _ in range(2):  # the state was not donated
            got = measure(placed, BATCH)
            assert got.keys() == expected.keys()
            for name, value in expected.items():
                np.testing.assert_allclose(got[name], value, rtol=1e-5, err_msg=name)


def test_spread_and_scale_of_what_is_healthy_and_what_is_not():
    rows = jax.random.normal(jax.random.key(0), (256, 32))
    of_embeddings = jax.jit(watch.of_embeddings)
    measured = of_embeddings(Embeddings(rows))
    assert 0.9 < measured["embedding_spread"] <= 1
    assert 0.9 < measured["embedding_scale"] < 1.1
    assert measured.keys() == OF_EMBEDDINGS - {"alignment", "prototypes_used"}
    constant = of_embeddings(Embeddings(jnp.ones((8, 4))))
    assert constant["embedding_spread"] < 1e-3
    assert constant["embedding_rank"] < 1.01
    # What shrinks to nothing keeps its directions: the unit rows do not show it.
    tiny = of_embeddings(Embeddings(1e-6 * rows))
    np.testing.assert_allclose(tiny["embedding_spread"], measured["embedding_spread"], rtol=1e-4)
    assert tiny["embedding_scale"] < 1e-5
    assert "uniformity" not in of_embeddings(Embeddings(rows[:1]))


def test_rows_have_what_there_is_to_measure(tmp_path):
    run = dataclasses.replace(RUN, log_every=4)
    train(tmp_path / "both", run=run, features=features)
    train(tmp_path / "features", of=method(compares_views=False), run=run, features=features)
    train(tmp_path / "neither", of=method(compares_views=False), run=run)
    of_features = {"feature_spread", "feature_rank"}
    for name, expected in (
        ("both", OF_EMBEDDINGS | of_features),
        ("features", of_features),
        ("neither", set()),
    ):
        assert [row["step"] for row in rows(tmp_path / name)] == [4, 8, 10]
        assert all(measured(row) == expected for row in rows(tmp_path / name))
    # A row has what its own step left, not a mean.
    train(tmp_path / "each", features=features)
    by_step = {row["step"]: row for row in rows(tmp_path / "each")}
    for row in rows(tmp_path / "both"):
        for name in OF_EMBEDDINGS | of_features:
            assert row[watch.PREFIX + name] == by_step[row["step"]][watch.PREFIX + name]


def test_a_resumed_run_writes_the_same_rows(tmp_path):
    outcome, _ = train(tmp_path / "run", loader=Loader(stop_at=4), features=features)
    assert outcome == loop.Outcome(5, 10, stopped=True)
    train(tmp_path / "run", features=features)
    train(tmp_path / "whole", features=features)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_a_measurement_that_is_not_finite_stops_the_run(tmp_path):
    def broken(variables, batch):
        return features(variables, batch) * jnp.inf

    with pytest.raises(log.DivergedError, match=r"^collapse/feature_\w+ is nan at step 1"):
        train(tmp_path, features=broken)


# --- when a run counts as collapsed ---------------------------------------------------------------


def spread(value, step):
    return {"step": step, "collapse/embedding_spread": value, "collapse/feature_spread": 0.0}


def judged(values, *, last_step=100, **config):
    """What a guard says after rows at steps 10, 20, ..."""
    judge = guard.Guard(guard.CollapseConfig(**config), last_step=last_step)
    for number, value in enumerate(values, 1):
        judge.see(10 * number, spread(value, 10 * number))
    replayed = guard.Guard(guard.CollapseConfig(**config), last_step=last_step)
    replayed.replay(spread(value, 10 * number) for number, value in enumerate(values, 1))
    assert (replayed.collapse, replayed.suspected) == (judge.collapse, judge.suspected)
    return judge


@pytest.mark.parametrize(
    ("values", "first_step", "step"),
    [
        ([1, 0, 0, 1, 0, 0], None, None),  # never three in succession
        ([1, 0, 0, 0, 1], None, None),  # recovered
        ([1, 0, 0, 0], 20, 40),
        ([1, 0, 0, 0, 0, 0], 20, 40),
        ([0, 0, 0, 0.099], 10, 30),
        ([1, 1, 1, 0.11, 0.11, 0.11], None, None),
    ],
)
def test_collapsed_after_rows_in_succession(values, first_step, step):
    judge = judged(values, patience=3, grace_steps=0)
    found = judge.collapse
    assert found == (found and (("collapse/embedding_spread", 0, 0.1), first_step, step))
    assert (found is None) == (first_step is None)
    assert judge.suspected == (values[-1] < 0.1)


def test_the_first_steps_are_not_judged_but_belong_to_the_rows_in_succession():
    assert judged([0, 0, 0], patience=1, grace_steps=30).collapse is None
    assert not judged([0, 0, 0], patience=1, grace_steps=30).suspected
    found = judged([1, 0, 0, 0, 0], patience=2, grace_steps=30).collapse
    assert (found.first_step, found.step) == (20, 50)


def test_at_the_last_step_a_suspicion_is_enough():
    assert judged([1, 1, 0], patience=3, grace_steps=0, last_step=30).collapse.first_step == 30
    assert judged([1, 1, 0], patience=3, grace_steps=30, last_step=30).collapse is None


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"embedding_spread": 1.0, "embedding_rank": 1.2}, "embedding_rank"),
        ({"embedding_spread": 1.0, "prototypes_used": 1.1}, "prototypes_used"),
        ({"embedding_spread": 1.0, "feature_spread": 0.0, "feature_rank": 1.0}, None),
        ({"feature_spread": 0.0, "feature_rank": 9.0}, "feature_spread"),
        ({"feature_spread": 1.0, "feature_rank": 1.0}, "feature_rank"),
        ({}, None),
    ],
)
def test_which_measurement_is_judged(row, name):
    judge = guard.Guard(guard.CollapseConfig(), last_step=9)
    found = judge.below({watch.PREFIX + key: value for key, value in row.items()})
    assert (found and found.name) == (name and watch.PREFIX + name)


def test_embeddings_that_shrink_are_judged_by_the_largest_so_far():
    judge = guard.Guard(guard.CollapseConfig(grace_steps=0), last_step=99)
    for step, scale in enumerate((0.15, 4.0, 0.3, 0.1), 1):
        judge.see(step, {"collapse/embedding_spread": 1.0, "collapse/embedding_scale": scale})
        assert judge.suspected == (step == 4)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("action", "halt", "action: must be one of ignore, warn, stop, rewind; got 'halt'"),
        ("patience", 0, "patience: must be at least 1; got 0"),
        ("min_rank", -1.0, "min_rank: must be at least 0; got -1.0"),
        ("grace_steps", -1, "grace_steps: must be at least 0; got -1"),
    ],
)
def test_wrong_values_are_named(field, value, text):
    with pytest.raises(ValueError, match=f"^run.collapse.{text}"):
        guard.CollapseConfig(**{field: value})


# --- what is done about it ----------------------------------------------------------------------

FOUND = (
    r"the run has collapsed: collapse/embedding_spread is [\d.e-]+, below 0.1 at step 8 "
    r"\(suspected in every row since step 6\)\. "
)


def test_warn_says_it_once_and_ignore_nothing(tmp_path):
    outcome, text = train(tmp_path / "warn", of=method(dead=last(6)))
    assert outcome == loop.Outcome(10, 10, stopped=False)
    (line,) = (line for line in text.splitlines() if "collapsed" in line)
    assert line.startswith("warning: the run has collapsed: collapse/embedding_spread is ")
    assert "at step 8 (suspected in every row since step 6). Likely: a stop-gradient" in line
    assert checkpoints.complete_steps(tmp_path / "warn") == [2, 4, 6, 8, 10]
    _, text = train(tmp_path / "ignore", of=method(dead=last(6)), action="ignore")
    assert "collapsed" not in text
    assert rows(tmp_path / "ignore") == rows(tmp_path / "warn")


def test_stop_saves_nothing_that_is_suspected(tmp_path):
    ending = r"It stopped; the newest healthy checkpoint is step 4\. .* another --out\.$"
    for _ in range(2):  # a rerun comes to the same end
        with pytest.raises(guard.CollapsedError, match=FOUND + ending):
            train(tmp_path, of=method(dead=last(6)), action="stop")
        assert checkpoints.complete_steps(tmp_path) == [2, 4]
        assert [row["step"] for row in rows(tmp_path)] == list(range(1, 9))


def test_a_checkpoint_between_rows_is_measured_itself(tmp_path):
    run = dataclasses.replace(RUN, log_every=3)
    with pytest.raises(guard.CollapsedError, match=r"below 0.1 at step 9 .*since step 6"):
        # Dead from step 4 on: the row of step 3 is healthy, the state of step 4 is not.
        train(tmp_path, of=method(dead=last(4)), run=run, action="stop", patience=2)
    assert checkpoints.complete_steps(tmp_path) == [2]


def test_a_passing_dip_costs_one_checkpoint_and_no_run(tmp_path):
    of = method(dead=lambda count: count == 4)
    outcome, _ = train(tmp_path, of=of, action="stop")
    assert outcome == loop.Outcome(10, 10, stopped=False)
    assert checkpoints.complete_steps(tmp_path) == [2, 6, 8, 10]


def test_suspected_at_the_last_step_is_collapsed(tmp_path):
    with pytest.raises(guard.CollapsedError, match=r"at step 10\. It stopped; .* is step 8"):
        train(tmp_path, of=method(dead=last(10)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == [2, 4, 6, 8]


def test_a_signal_while_suspected_saves_nothing(tmp_path):
    outcome, _ = train(tmp_path, of=method(dead=last(4)), loader=Loader(stop_at=4), action="stop")
    assert outcome == loop.Outcome(5, 10, stopped=True, saved=False)
    assert checkpoints.complete_steps(tmp_path) == [2]


def test_collapsed_from_the_beginning_has_no_healthy_checkpoint(tmp_path):
    with pytest.raises(guard.CollapsedError, match="It stopped; no healthy checkpoint was saved"):
        train(tmp_path, of=method(dead=last(0)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == []


def test_rewind_leaves_the_newest_healthy_checkpoint_and_its_rows(tmp_path):
    healthy = train(tmp_path / "healthy")[0]
    assert healthy.step == 10
    ending = r"It stopped and went back to step 4, the newest healthy checkpoint\. "
    with pytest.raises(guard.CollapsedError, match=FOUND + ending):
        train(tmp_path / "run", of=method(dead=last(6)), action="rewind")
    assert checkpoints.complete_steps(tmp_path / "run") == [2, 4]
    assert rows(tmp_path / "run") == rows(tmp_path / "healthy")[:4]


def test_rewind_of_a_run_that_was_let_go_on(tmp_path):
    train(tmp_path, of=method(dead=last(6)), action="warn")
    # What lies in the directory is judged too: not one step is taken.
    with pytest.raises(guard.CollapsedError, match=r"\(later ones, to 10, are not: evaluate with"):
        train(tmp_path, of=method(dead=last(6)), action="stop")
    assert checkpoints.complete_steps(tmp_path) == [2, 4, 6, 8, 10]
    with pytest.raises(guard.CollapsedError, match=FOUND + "It stopped and went back to step 4"):
        train(tmp_path, of=method(dead=last(6)), action="rewind")
    assert checkpoints.complete_steps(tmp_path) == [2, 4]
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4]


def test_rewind_with_nothing_healthy_leaves_nothing(tmp_path):
    train(tmp_path, of=method(dead=last(0)))
    with pytest.raises(guard.CollapsedError, match="back to its beginning, since no healthy ch"):
        train(tmp_path, of=method(dead=last(0)), action="rewind")
    assert checkpoints.complete_steps(tmp_path) == []
    assert rows(tmp_path) == []


def test_killed_while_deleting_no_step_counts_that_cannot_be_restored(tmp_path, monkeypatch):
    train(tmp_path, run=dataclasses.replace(RUN, checkpoint_every=5))

    def killed(self, step):
        raise KeyboardInterrupt

    with checkpoints.Checkpoints(tmp_path) as saved:
        with monkeypatch.context() as patch:
            patch.setattr(type(saved._manager), "delete", killed)
            with pytest.raises(KeyboardInterrupt):
                saved.delete_after(5)
    assert checkpoints.complete_steps(tmp_path) == [5]
    assert (tmp_path / "checkpoints" / "10").exists()
    with checkpoints.Checkpoints(tmp_path) as saved:  # clears it away
        assert saved.latest_step() == 5
    assert not (tmp_path / "checkpoints" / "10").exists()


def test_status_and_message_of_the_command_line(tmp_path, monkeypatch, capsys):
    def collapses(config, out, console):
        assert config.run.collapse.action == "stop"
        raise guard.CollapsedError("the run has collapsed.")

    monkeypatch.setattr(pretraining, "run", collapses)
    words = ["simclr_fashion_mnist", "--out", str(tmp_path), "--run.collapse.action", "stop"]
    assert cli.main(["pretrain", *words]) == 1
    assert capsys.readouterr().err == "jaxssl: the run has collapsed.\n"
