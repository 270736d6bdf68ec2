"""What every method must hold; a new file in methods/ is found and tested without a line here."""

import itertools
import json
import math
import operator

import contract
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import tiny

from jaxssl import cropping, draws, jsonable, methods, models, parallel, schedules, sharding
from jaxssl.augment import policies
from jaxssl.training import step as training_step


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, id="-".join(case), marks=[pytest.mark.slow] * (case[0] in tiny.SLOW))
        for case in tiny.CASES
    ],
)
def case(request):
    return contract.make(*request.param)


@pytest.fixture(scope="module")
def batch(case):
    return case.batch


@pytest.fixture(scope="module")
def loss_by_axis(case):
    """``(params, views, axis_name) -> values``, and its outcome on one device."""

    def values(params, views, axis_name):
        method = contract.build(case.name, case.encoder, axis_name=axis_name)
        return method.loss(params, case.state, views, contract.KEY, contract.CLOCK)[0]

    return values, parity.unmapped(values, case.params, case.views)


@pytest.fixture(scope="module")
def step_on_one(case, batch):
    """A state, what a step on one device makes of it, and the operations that takes.

    All on the host, since steps donate.
    """
    state = jax.jit(
        lambda: training_step.init_state(
            case.method, contract.OPTIMIZER, batch, seed=contract.MOMENTS["seed"]
        )
    )()
    step = training_step.make_step(case.method, contract.OPTIMIZER, **contract.MOMENTS)
    compiled = jax.jit(step).lower(state, batch).compile()
    return *jax.device_get((state, *compiled(state, batch))), compiled.cost_analysis()["flops"]


def test_every_method_is_found():
    assert {"SimCLR", "MAE", "Rotation"} <= methods.all_configs().keys()
    assert "WithHead" not in methods.all_configs()


@pytest.mark.slow
def test_loss_and_gradients_are_finite_and_reach_every_parameter_that_moves(case):
    (loss, (values, (new_state, metrics))), gradients = case.loss_and_gradients(
        case.params, case.views
    )
    assert jnp.isfinite(loss)
    assert values.dtype == jnp.float32
    assert values.shape in ((), (16,))
    assert jax.tree.structure(new_state) == jax.tree.structure(case.state)
    assert all(value.shape == () for value in metrics.values())
    frozen = contract.frozen_at(case.method, case.params, contract.CLOCK)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.all(np.isfinite(gradient)), jax.tree_util.keystr(path)
        reached = np.any(np.asarray(gradient) != 0)
        assert reached or frozen[jax.tree_util.keystr(path)], jax.tree_util.keystr(path)


@pytest.mark.slow
def test_views_are_the_same_where_the_host_makes_their_crops(case):
    asked = cropping.of_method(tiny.method(case.name))
    if not asked or "image" not in case.batch:
        pytest.skip("no view begins with a crop")
    shapes = [(16, crop.count, crop.size, crop.size, 3) for crop in asked]
    crops = cropping.Crops(tuple(np.zeros(shape, np.uint8) for shape in shapes))
    keys = draws.example_keys(0, contract.CLOCK.step, 16, None)
    batch = {**case.batch, "image": crops}
    found = jax.eval_shape(lambda: draws.make_views(case.method, batch, keys))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), case.views
    )


@pytest.mark.slow
def test_bfloat16_is_finite_and_keeps_float32_parameters(case):
    method = contract.build(case.name, case.encoder, dtype="bfloat16")
    (loss, (values, _)), gradients = contract.loss_and_gradients(method, case.state)(
        case.params, case.views
    )
    assert jnp.isfinite(loss)
    assert values.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((case.params, gradients)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))


# Two pairs say nothing new: pmap is compiled as shard_map is, so that it is tried on all devices
# alone, and jit on one device is what all are compared with.
PAIRS = [*itertools.product(parity.DEVICE_COUNTS, ["shard_map"]), (2, "jit"), (4, "jit"),
         (8, "jit"), (8, "pmap")]  # fmt: skip


@pytest.mark.parametrize(
    ("devices", "backend"),
    [parity.group(*each, slow=[(8, "jit")]) for each in PAIRS],
)
def test_value_and_gradient_are_those_of_one_device(case, loss_by_axis, backend, devices):
    values, expected = loss_by_axis
    outcome = parity.value_and_grad(
        values, case.params, case.views, devices=devices, backend=backend
    )
    np.testing.assert_allclose(outcome.mean, expected.mean, rtol=1e-5)
    ours, theirs = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(o.params_gradient)])
        for o in (outcome, expected)
    )
    assert np.linalg.norm(ours - theirs) <= 2e-5 * np.linalg.norm(theirs)
    # Leaf by leaf too, where float32 sums leave more: a wrong factor in one small leaf shows.
    parity.assert_close(outcome, expected, tolerance=1e-4)


@pytest.mark.parametrize(
    "backend",
    [parity.group(each, slow=["shard_map"]) for each in parity.BACKENDS],
)
def test_a_step_on_eight_devices_is_a_step_on_one(case, step_on_one, backend, batch):
    """Keys, state and parameters too; under shard_map JAX proves the state equal while tracing.

    Two more steps compile nothing and keep the form of the state.
    """
    state, expected, expected_metrics, _ = step_on_one
    axis_name = parallel.axis_of(backend)
    method = contract.build(case.name, case.encoder, axis_name=axis_name)
    step = training_step.make_step(
        method, contract.OPTIMIZER, axis_name=axis_name, **contract.MOMENTS
    )
    traces = []

    def counted(state, batch):
        traces.append(1)
        return step(state, batch)

    run = parallel.data_parallel(counted, backend=backend)
    got, metrics = run(parallel.replicate(state), batch)
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-5)
    assert metrics.keys() == expected_metrics.keys()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b).max()))
    num_traces = len(traces)
    form = jax.tree.map(lambda x: (x.shape, x.dtype), state)
    for expected_step in (2, 3):
        got, metrics = run(got, batch)
        jax.block_until_ready(metrics)
        assert got.step == expected_step
        assert jax.tree.map(lambda x: (x.shape, x.dtype), got) == form
    assert len(traces) == num_traces == 1
    assert not contract.unchanged(state.state, got.state) - tiny.unchanged(case.name)


@pytest.mark.slow
def test_under_jit_eight_devices_divide_the_work(case, step_on_one, batch):
    """Nobody tells the compiler to; what it cannot divide all devices do."""
    state, *_, operations_on_one = step_on_one
    step = training_step.make_step(case.method, contract.OPTIMIZER, **contract.MOMENTS)
    assert contract.operations(step, state, batch) < operations_on_one / 4


@pytest.mark.exhaustive
def test_a_step_of_a_divided_state_is_a_step_on_one(case, step_on_one, batch, monkeypatch):
    state, expected, expected_metrics, _ = step_on_one
    whole = [
        math.prod(leaf.shape)
        for leaf in jax.tree.leaves((state.params, state.state))
        if all(size % jax.device_count() for size in leaf.shape)
    ]
    # All that can be divided, is.
    monkeypatch.setattr(sharding, "MIN_SIZE", max(whole, default=0) + 1)
    lie = sharding.of_state(jax.eval_shape(lambda: state), "params")
    assert any(not leaf.is_fully_replicated for leaf in jax.tree.leaves(lie))
    step = training_step.make_step(
        case.method, contract.OPTIMIZER, params_sharding=lie.params, **contract.MOMENTS
    )
    run = parallel.data_parallel(step, backend="jit", state_sharding=lie)
    got, metrics = run(jax.device_put(state, lie), batch)
    assert all(
        map(
            operator.eq,
            jax.tree.leaves(jax.tree.map(lambda x: x.sharding, got)),
            jax.tree.leaves(lie),
        )
    )
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-5)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1, np.abs(b).max()))


@pytest.mark.exhaustive
def test_micro_batches_of_the_encoder_change_no_number(case):
    encoder = contract.without_batch_norm(tiny.ENCODERS[case.encoder]).build()
    whole, parted = (
        tiny.method(case.name).build(each, axis_name=None)
        for each in (encoder, models.over_micro_batches(encoder, 4))
    )
    params, state = jax.jit(whole.init)(contract.KEY, jax.tree.map(lambda x: x[:2], case.views))
    if "batch_stats" in state.get("encoder", {}):
        pytest.skip("its encoder normalises by statistics of its batch")
    outcomes = [
        jax.device_get(contract.loss_and_gradients(method, state)(params, case.views))
        for method in (whole, parted)
    ]
    (expected, aux), gradients = outcomes[0]
    (got, got_aux), got_gradients = outcomes[1]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    for ours, theirs in zip(*map(jax.tree.leaves, (got_aux, aux)), strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=1e-5, atol=1e-5 * max(1, np.abs(theirs).max())
        )
    ours, theirs = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(each)])
        for each in (got_gradients, gradients)
    )
    assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)


@pytest.mark.slow
def test_a_step_leaves_what_is_frozen_alone_and_nothing_else(case, step_on_one):
    if case.method.frozen is None:
        pytest.skip("nothing is ever frozen")
    state, after, *_ = step_on_one
    clock = schedules.clock_at(0, steps_per_epoch=2, total_steps=4)
    frozen = contract.frozen_at(case.method, state.params, clock)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), state.params, after.params)
    for path, has_moved in jax.tree_util.tree_leaves_with_path(moved):
        assert has_moved != frozen[jax.tree_util.keystr(path)], jax.tree_util.keystr(path)


def test_embeddings_are_finite_and_local(case):
    if case.method.embed is None:
        pytest.skip("compares no views")
    first, second, assignments = jax.jit(case.method.embed)(case.params, case.state, case.views)
    assert len(first) == 16
    assert second is None or second.shape == first.shape
    for rows in (first, second, assignments):
        if rows is not None:
            assert rows.ndim == 2
            assert np.all(np.isfinite(rows))
    if assignments is not None:
        assert len(assignments) == 16
        np.testing.assert_allclose(assignments.sum(axis=1), 1, rtol=1e-5)
    mapped = jax.shard_map(
        contract.build(case.name, case.encoder, axis_name="data").embed,
        mesh=parallel.mesh(axis_name="data"),
        in_specs=(jax.P(), jax.P(), jax.P("data")),
        out_specs=jax.P("data"),
    )
    assert jax.eval_shape(mapped, case.params, case.state, case.views).first.shape == first.shape


def test_exported_encoder_is_the_tree_of_a_fresh_module(case, batch):
    exported = case.method.encoder(case.params, case.state)
    module = tiny.ENCODERS[case.encoder].build()
    fed = jax.eval_shape(jax.vmap(case.method.inputs), batch).values()
    fresh = jax.eval_shape(lambda *fed: module.init(contract.KEY, *fed, train=False), *fed)
    form = jax.tree.map(lambda x: (x.shape, x.dtype), exported)
    assert form == jax.tree.map(lambda x: (x.shape, x.dtype), dict(fresh))
    encoded = jax.eval_shape(lambda *fed: module.apply(exported, *fed, train=False), *fed)
    assert len(encoded.pooled) == 16


def test_the_encoder_is_evaluated_on_the_whole_text(case, batch):
    if not tiny.is_text(case.encoder):
        pytest.skip("reads images")
    inputs = jax.jit(jax.vmap(case.method.inputs))(batch)
    assert inputs.keys() == {"tokens"}
    np.testing.assert_array_equal(inputs["tokens"], batch["tokens"])
    assert "random" not in str(jax.make_jaxpr(jax.vmap(case.method.inputs))(batch))


def test_the_encoder_is_evaluated_on_the_whole_image(case):
    """Whatever the method, and without a draw: an image, or a clip's first frame, resized."""
    if tiny.is_text(case.encoder):
        pytest.skip("reads texts")
    images = np.random.default_rng(0).integers(0, 256, (4, 24, 20, 3), dtype=np.uint8)
    batch = {"image": images, "index": np.arange(4, dtype=np.int32)}
    inputs = jax.jit(jax.vmap(case.method.inputs))(batch)
    resize = policies.Resize(tiny.SIZE)
    expected = jax.jit(jax.vmap(lambda image: resize(None, image)))(images)
    assert inputs.keys() == {"image"}
    np.testing.assert_array_equal(inputs["image"], expected)
    clips = np.stack([images, images[::-1]], axis=1)
    of_clips = jax.jit(jax.vmap(case.method.inputs))({"video": clips})
    np.testing.assert_array_equal(of_clips["image"], expected)
    assert "random" not in str(jax.make_jaxpr(jax.vmap(case.method.inputs))(batch))
    variables = case.method.encoder(case.params, case.state)
    module = tiny.ENCODERS[case.encoder].build()
    features = jax.jit(lambda *images: module.apply(variables, *images, train=False))
    assert np.all(np.isfinite(features(*inputs.values()).pooled))


def test_a_question_has_an_answer_of_its_own(case):
    """The right one is among those there are; the network's depends on no other example."""
    method = case.method
    assert (method.ask is None) == (method.answer is None)
    if method.ask is None:
        pytest.skip("asks nothing with a discrete answer")
    inputs, answers, num_answers = method.ask(case.views)
    assert inputs.ndim == 5 and inputs.dtype == jnp.float32
    assert answers.shape == (len(inputs),) and answers.dtype == jnp.int32
    assert 0 <= answers.min() and answers.max() < num_answers
    answer = jax.jit(method.answer)
    logits = answer(case.params, case.state, case.views)
    assert logits.shape == (len(inputs), num_answers) and logits.dtype == jnp.float32
    one = jax.tree.map(lambda leaf: leaf[3:4], case.views)
    alone = answer(case.params, case.state, one)
    np.testing.assert_array_equal(method.ask(one).answers, answers[3 * len(alone) :][: len(alone)])
    np.testing.assert_allclose(alone, logits[3 * len(alone) :][: len(alone)], atol=1e-5)


def test_config_survives_json(case):
    config = tiny.method(case.name)
    text = json.dumps(jsonable.to_json(config))
    assert jsonable.from_json(methods.all_configs()[case.name], json.loads(text)) == config


@pytest.mark.slow
def test_order_of_the_batch_does_not_matter(case):
    order = np.random.default_rng(0).permutation(16)
    permuted = jax.tree.map(lambda x: x[order], case.views)
    expected, got = (case.loss_and_gradients(case.params, v)[0][0] for v in (case.views, permuted))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_one_method_reads_labels_and_says_so():
    names = {name for name in methods.all_configs() if tiny.reads_label(name)}
    assert names == {"Supervised"}


def test_labels_cannot_be_reached(case, batch):
    assert case.method.reads_label == tiny.reads_label(case.name)
    if case.method.reads_label:
        pytest.skip("it is the one whose label is the data set's")
    seen = []
    spying = case.method._replace(
        view=lambda key, example: seen.append(set(example)) or case.method.view(key, example)
    )
    labelled = batch | {"label": np.zeros(16, np.int32)}
    state = jax.eval_shape(
        lambda: training_step.init_state(spying, contract.OPTIMIZER, labelled, seed=0)
    )
    step = training_step.make_step(spying, contract.OPTIMIZER, seed=0)
    jax.eval_shape(step, state, labelled)
    assert len(seen) == 2
    assert all(names == set(batch) for names in seen)
