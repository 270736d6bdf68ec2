"""Collapse: what is measured in every row."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from collapsing_run import BATCH, OPTIMIZER, RUN, Loader, features, method, rows, train

from jaxssl import collapse, draws, parallel
from jaxssl.collapse import watch
from jaxssl.training import loop
from jaxssl.training import step as training_step
from jaxssl.training.rows import DivergedError
from jaxssl.types import Embeddings, TrainState

OF_EMBEDDINGS = {
    "embedding_spread", "embedding_rank", "embedding_scale", "alignment", "uniformity",
    "neighbour_distance", "prototypes_used",
}  # fmt: skip


def measured(row):
    return {name.removeprefix(collapse.PREFIX) for name in row if name.startswith(collapse.PREFIX)}


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
    views = draws.make_views(method(), BATCH, draws.example_keys(3, jnp.int32(2), 8, None))
    first, second, assignments = method().embed(state.params, state.state, views)
    plain = features({"params": state.params["encoder"]}, BATCH)
    unit = np.asarray(first) / np.linalg.norm(first, axis=1, keepdims=True)
    expected = {
        "feature_spread": collapse.feature_std(plain) * np.sqrt(np.float32(6)),
        "feature_rank": collapse.effective_rank(plain),
        "feature_decay": collapse.spectral_decay(plain),
        "embedding_spread": unit.std(axis=0).mean() * np.sqrt(6),
        "embedding_rank": collapse.effective_rank(first),
        "embedding_scale": np.asarray(first).std(axis=0).mean(),
        "alignment": collapse.alignment(first, second),
        "uniformity": collapse.uniformity(first),
        "neighbour_distance": collapse.neighbour_distance(first),
        "prototypes_used": np.exp(collapse.usage_entropy(assignments)),
    }
    assert got.keys() == {collapse.PREFIX + name for name in expected}
    for name, value in expected.items():
        np.testing.assert_allclose(got[collapse.PREFIX + name], value, rtol=1e-5, err_msg=name)
        assert got[collapse.PREFIX + name].dtype == jnp.float32


@pytest.mark.slow
@pytest.mark.parametrize("max_rows", [2048, 6])
def test_the_number_of_devices_changes_no_number(monkeypatch, max_rows):
    monkeypatch.setattr(watch, "MAX_ROWS", max_rows)
    of, state = method(), jax.device_get(state_after(2))
    expected = jax.jit(watch.make_watch(of, seed=3, features=features))(state, BATCH)
    for num_devices, backend in ((1, "pmap"), (8, "jit"), (8, "shard_map")):
        devices = jax.devices()[:num_devices]
        axis_name = parallel.axis_of(backend)
        measure = parallel.map_measurement(
            watch.make_watch(of, seed=3, axis_name=axis_name, features=features),
            backend=backend,
            devices=devices,
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
    of_features = {"feature_spread", "feature_rank", "feature_decay"}
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
            assert row[collapse.PREFIX + name] == by_step[row["step"]][collapse.PREFIX + name]


def test_a_target_is_measured_where_a_method_has_one():
    encoder = jnp.ones((4, 6))
    of = method(compares_views=False)
    measure = watch.make_watch(of, seed=3, features=features)
    for target, expected in (
        ({"params": {"encoder": 0.75 * encoder}, "state": {}}, 0.25),
        ({"params": {"another": encoder}}, None),  # not of these parameters
        ({}, None),
    ):
        state = TrainState(jnp.int32(1), {"encoder": encoder}, {"target": target}, ())
        assert measure(state, BATCH).get("collapse/target_distance") == expected


def test_few_features_have_no_spectrum():
    measure = watch.make_watch(method(), seed=3, features=lambda *of: features(*of)[:, :4])
    assert "collapse/feature_decay" not in jax.eval_shape(measure, state_after(0), BATCH)


def test_a_resumed_run_writes_the_same_rows(tmp_path):
    outcome, _ = train(tmp_path / "run", loader=Loader(stop_at=4), features=features)
    assert outcome == loop.Outcome(5, 10, stopped=True)
    train(tmp_path / "run", features=features)
    train(tmp_path / "whole", features=features)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_a_measurement_that_is_not_finite_stops_the_run(tmp_path):
    def broken(variables, batch):
        return features(variables, batch) * jnp.inf

    with pytest.raises(DivergedError, match=r"^collapse/feature_\w+ is nan at step 1"):
        train(tmp_path, features=broken)
