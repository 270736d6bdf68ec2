"""What is saved comes back on any number of devices, or one sentence says what is wrong with it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny

from jaxssl import checkpoints, models, parallel, sharding
from jaxssl.checkpoints import CheckpointError, Checkpoints, manifest
from jaxssl.types import TrainState

VIT = models.ViTConfig(width=8, depth=1, num_heads=2, patch_size=4, pool="mean")


def meta_of(config):
    return tiny.meta(config, more=[1, 2.5, None, "text"])


def variables_of(config, seed=0):
    """Random variables; unlike a fresh initialisation no leaf is all 0 or all 1."""
    form = jax.eval_shape(
        lambda: config.build().init(jax.random.key(0), tiny.images(2), train=False)
    )
    generator = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.uniform(0.05, 0.1, leaf.shape), leaf.dtype), dict(form)
    )


def state_at(step, variables):
    """A state with every kind of container that optimizers and methods use."""
    return TrainState(
        step=jnp.int32(step),
        params={"encoder": variables["params"], "head": {"bias": jnp.arange(3.0) + step}},
        state={"queue": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3)},
        opt_state=((jnp.int32(step), {"mu": jnp.full((4,), 0.1)}), ()),
    )


def form_of(state):
    return jax.eval_shape(lambda: state)


def save(directory, steps=(1,), *, losses=None, devices=None):
    variables = variables_of(VIT)
    with Checkpoints(directory) as saved:
        for index, step in enumerate(steps):
            saved.save(
                parallel.replicate(state_at(step, variables), devices),
                variables,
                meta_of(VIT),
                loss=losses[index] if losses else 1.0 / step,
            )


def steps_in(directory):
    return sorted(int(path.name) for path in (directory / "checkpoints").iterdir())


def assert_same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    save(directory, (3, 7))
    return directory


@pytest.mark.parametrize(("saved_on", "restored_on"), [(1, 1), (1, 8), (8, 8), (8, 2)])
def test_state_comes_back_on_any_number_of_devices(tmp_path, saved_on, restored_on):
    save(tmp_path, devices=jax.devices()[:saved_on])
    expected = state_at(1, variables_of(VIT))
    sharding = parallel.replicated(jax.devices()[:restored_on])
    with Checkpoints(tmp_path) as saved:
        got = saved.restore_state(1, form_of(expected), sharding)
    assert_same(got, expected)
    for leaf in jax.tree.leaves(got):
        assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)


@pytest.mark.parametrize(
    ("restored_on", "rule"), [(1, "none"), (8, "none"), (4, "params"), (2, "state")]
)
def test_a_state_that_is_divided_is_saved_whole(monkeypatch, tmp_path, restored_on, rule):
    monkeypatch.setattr(sharding, "MIN_SIZE", 2**8)
    expected = state_at(1, variables_of(VIT))
    form = form_of(expected)
    state = jax.device_put(expected, sharding.of_state(form, "params"))
    assert any(not leaf.is_fully_replicated for leaf in jax.tree.leaves(state.params))
    lie = sharding.of_state(form, rule, devices=jax.devices()[:restored_on])
    with Checkpoints(tmp_path) as saved:
        saved.save(state, {"params": state.params["encoder"]}, meta_of(VIT), loss=1.0)
        got = saved.restore_state(1, form, lie)
    assert_same(got, expected)
    for leaf, lies in zip(jax.tree.leaves(got), jax.tree.leaves(lie), strict=True):
        assert leaf.sharding.is_equivalent_to(lies, leaf.ndim)
    encoder = checkpoints.restore_encoder(tmp_path)
    assert_same(encoder.variables["params"], expected.params["encoder"])


def test_state_comes_back_without_opening_the_run(saved_run):
    expected = state_at(7, variables_of(VIT))
    assert_same(checkpoints.restore_state(saved_run, form_of(expected)), expected)
    before = state_at(3, variables_of(VIT))
    assert_same(checkpoints.restore_state(saved_run, form_of(before), 3), before)


def test_encoder_and_meta_come_back(saved_run):
    restored = checkpoints.restore_encoder(saved_run)
    assert restored.meta == {**meta_of(VIT), "step": 7} | {
        "encoder": {
            "name": "jaxssl.models.vit:ViTConfig",
            "fields": meta_of(VIT)["encoder"]["fields"] | {"mean": [0.0], "std": [1.0]},
        }
    }
    assert restored.module == VIT.build()
    assert_same(restored.variables, variables_of(VIT))
    assert checkpoints.read_meta(saved_run, 3)["step"] == 3


def test_encoder_of_a_step_or_of_the_newest_and_from_the_inner_directory(saved_run):
    assert checkpoints.restore_encoder(saved_run).meta["step"] == 7
    assert checkpoints.restore_encoder(saved_run, 3).meta["step"] == 3
    assert checkpoints.restore_encoder(saved_run / "checkpoints").meta["step"] == 7


def test_relative_directory(saved_run, monkeypatch):
    monkeypatch.chdir(saved_run.parent)
    assert checkpoints.restore_encoder(saved_run.name).meta["step"] == 7


def test_calling_a_restored_encoder_is_eval_mode(tmp_path):
    config = tiny.ENCODERS["ResNet"]
    variables = variables_of(config)
    with Checkpoints(tmp_path) as saved:
        saved.save(state_at(1, variables), variables, meta_of(config), loss=1.0)
    images = tiny.images(4)
    restored = checkpoints.restore_encoder(tmp_path)
    got = jax.jit(lambda images: restored(images))(images)

    @jax.jit
    def features(variables, images):
        return config.build().apply(variables, images, train=False)

    for a, b in zip(
        jax.tree.leaves(got), jax.tree.leaves(features(variables, images)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    # Batch statistics of the images would make a row depend on the others.
    np.testing.assert_allclose(features(variables, images[:2]).pooled, got.pooled[:2], rtol=1e-5)


def test_a_step_without_manifest_is_ignored_and_saved_over(tmp_path):
    save(tmp_path, (2, 4))
    (tmp_path / "checkpoints" / "4" / checkpoints.MANIFEST).unlink()
    assert checkpoints.restore_encoder(tmp_path).meta["step"] == 2
    with pytest.raises(CheckpointError, match="step must be one of 2; got 4"):
        checkpoints.restore_encoder(tmp_path, 4)
    with Checkpoints(tmp_path) as saved:
        assert saved.latest_step() == 2
    save(tmp_path, (3, 4))  # 3 lies before the step that was left behind
    assert checkpoints.restore_encoder(tmp_path).meta["step"] == 4
    assert steps_in(tmp_path) == [3, 4]


def test_an_earlier_step_is_refused(tmp_path):
    save(tmp_path, (4,))
    with pytest.raises(
        CheckpointError, match="step must be later than the newest one saved, 4; go"
    ):
        save(tmp_path, (4,))


@pytest.mark.parametrize("resumed", [False, True])
def test_the_newest_two_and_the_best_are_kept(tmp_path, resumed):
    losses = [0.9, 0.1, 0.5, 0.6, 0.7]
    if resumed:
        for step, loss in enumerate(losses, 1):
            save(tmp_path, (step,), losses=[loss])
    else:
        save(tmp_path, range(1, 6), losses=losses)
    assert steps_in(tmp_path) == [2, 4, 5]


def killed(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("keep_latest", [1, 2])
@pytest.mark.parametrize(
    ("where", "what"),
    [
        (ocp.CheckpointManager, "save"),
        (ocp.CheckpointManager, "wait_until_finished"),
        (manifest, "write"),
        (manifest.files, "write_whole"),
        (ocp.CheckpointManager, "metrics"),
        (Path, "unlink"),
        (ocp.CheckpointManager, "delete"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_killed_at_any_point_of_a_save_a_step_is_left(
    tmp_path, monkeypatch, where, what, keep_latest
):
    variables = variables_of(VIT)
    states = [parallel.replicate(state_at(step, variables)) for step in (1, 2, 3)]
    with Checkpoints(tmp_path, keep_latest=keep_latest) as saved:
        for state, loss in zip(states[:2], (0.9, 0.5)):
            saved.save(state, variables, meta_of(VIT), loss=loss)
        with monkeypatch.context() as patch:
            patch.setattr(where, what, killed)
            with pytest.raises(KeyboardInterrupt):
                saved.save(states[2], variables, meta_of(VIT), loss=0.1)
    newest = max(checkpoints.complete_steps(tmp_path))
    assert newest in (2, 3)
    with Checkpoints(tmp_path, keep_latest=keep_latest) as saved:  # clears the rest away
        form = form_of(state_at(newest, variables))
        assert saved.restore_state(newest, form, parallel.replicated()).step == newest


DAMAGES = {
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "missing": Path.unlink,
}


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def resume(directory):
    with Checkpoints(directory) as saved:
        saved.restore_state(7, form_of(state_at(7, variables_of(VIT))), parallel.replicated())


# Who reads the files of each item; those of no item are looked at by everybody.
READERS = {
    "encoder": [checkpoints.restore_encoder],
    "meta": [checkpoints.restore_encoder, checkpoints.read_meta],
    "metrics": [resume],
    "state": [resume],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file_is_named(saved_run, tmp_path, damage):
    names = [
        path.relative_to(saved_run)
        for path in sorted((saved_run / "checkpoints" / "7").rglob("*"))
        if path.is_file() and path.name != checkpoints.MANIFEST
    ]
    assert {name.parts[2] for name in names} >= {"state", "encoder", "meta", "metrics"}
    shutil.copytree(saved_run, tmp_path / "run")
    for name in names:
        path = tmp_path / "run" / name
        content = path.read_bytes()
        if not content and damage != "missing":
            continue
        DAMAGES[damage](path)
        state = "is missing" if damage == "missing" else "is damaged: its sha256 is not"
        for read in READERS.get(name.parts[2], [checkpoints.restore_encoder, resume]):
            with pytest.raises(CheckpointError, match=f"{re.escape(str(path))} {state}"):
                read(tmp_path / "run")
        path.write_bytes(content)
    resume(tmp_path / "run")
    checkpoints.restore_encoder(tmp_path / "run")


def test_a_damaged_manifest_is_named(saved_run, tmp_path):
    shutil.copytree(saved_run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "7" / checkpoints.MANIFEST
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"manifest.json is damaged: .* Delete .*/7 to fall"):
        checkpoints.restore_encoder(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 10**5, "it is no JSON"),
        ("[]", "it must name files of its step and their sha256"),
        ("null", "it must name files of its step and their sha256"),
        ('{"../../config.json": "00"}', "it must name files of its step and their sha256"),
        ('{"/etc/hostname": "00"}', "it must name files of its step and their sha256"),
        ('{"meta/metadata": 7}', "it must name files of its step and their sha256"),
        ("{}", "it does not name .*/7/encoder/"),
        (None, "it does not name .*/7/encoder/more"),
    ],
    ids=lambda each: each and each[:20],
)
def test_a_manifest_names_every_file_and_only_those_of_its_step(saved_run, tmp_path, text, told):
    shutil.copytree(saved_run, tmp_path / "run")
    step = tmp_path / "run" / "checkpoints" / "7"
    if text is None:
        (step / "encoder" / "more").write_text("somebody else's")
    else:
        (step / checkpoints.MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match=rf"manifest.json is damaged: {told}"):
        checkpoints.restore_encoder(tmp_path / "run")


@pytest.mark.parametrize("name", ["²", "٣", "007", "7.bak"])
def test_only_names_that_are_numbers_are_steps(tmp_path, name):
    (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / name / checkpoints.MANIFEST).write_text("{}")
    assert checkpoints.complete_steps(tmp_path) == []


def test_deleting_a_damaged_step_falls_back(saved_run, tmp_path):
    shutil.copytree(saved_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "7")
    assert checkpoints.restore_encoder(tmp_path / "run").meta["step"] == 3


def test_a_step_that_is_not_there_is_answered_with_those_that_are(saved_run):
    with pytest.raises(CheckpointError, match="restore_encoder: step must be one of 3, 7; got 5"):
        checkpoints.restore_encoder(saved_run, 5)


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_directory_without_checkpoints(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CheckpointError, match=rf"complete checkpoint; got none in .*{name}\. Is it"
    ):
        checkpoints.restore_encoder(tmp_path / name)
    assert not (tmp_path / "missing").exists()


def test_an_encoder_of_another_shape_names_five_leaves(tmp_path):
    meta = meta_of(VIT)
    meta["encoder"]["fields"]["width"] = 16
    variables = variables_of(VIT)
    with Checkpoints(tmp_path) as saved:
        saved.save(state_at(1, variables), variables, meta, loss=1.0)
    with pytest.raises(CheckpointError, match="leaves must be those of the model") as caught:
        checkpoints.restore_encoder(tmp_path)
    assert re.search(r"float32\[8,\d+\], expected float32\[16,\d+\]", str(caught.value))
    assert len(re.findall("checkpoint has", str(caught.value))) == 5
    assert re.search(r" and \d+ more\.$", str(caught.value))


def test_a_state_with_other_leaves_names_them(saved_run):
    state = state_at(7, variables_of(VIT))
    other = TrainState(state.step, state.params, {"centre": jnp.zeros(2)}, state.opt_state)
    text = (
        r"state/centre: checkpoint has nothing, expected float32\[2\]; "
        r"state/queue: checkpoint has bfloat16\[2,3\], expected nothing\."
    )
    with (
        pytest.raises(CheckpointError, match=text),
        Checkpoints(saved_run) as saved,
    ):
        saved.restore_state(7, form_of(other), parallel.replicated())


def test_restoring_an_encoder_imports_no_training_code(saved_run):
    program = (
        "import sys, jaxssl; jaxssl.restore_encoder(sys.argv[1]); "
        "print([name for name in ('jaxssl.training', 'jaxssl.methods', 'jaxssl.losses', "
        "'jaxssl.data', 'optax', 'grain', 'tensorflow_datasets', 'tyro') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(saved_run)],
        env=os.environ | {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
