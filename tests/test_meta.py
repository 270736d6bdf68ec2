"""What a checkpoint records: whatever is wrong with it, one line names the field."""

import copy
import json
import zipfile
from pathlib import Path

import jax.numpy as jnp
import pytest
import tiny

from jaxssl import checkpoints, inputs, meta, models
from jaxssl.checkpoints import CheckpointError, Checkpoints, manifest
from jaxssl.runs import opened, recipe, record
from jaxssl.types import TrainState

RECORDED = Path(__file__).parent / "recorded" / "run.zip"
VALUES = (None, True, -1, 1.5, "x", [], {}, [1], {"a": 1}, 10**30, 10**400, float("nan"))


def of_before():
    with zipfile.ZipFile(RECORDED) as archive:
        return json.loads(archive.read("run/checkpoints/4/meta/metadata"))


def of_today(name):
    shipped = recipe.load(name)
    return tiny.meta(shipped.encoder, config=record.to_json(shipped), step=4)


def paths(value, path=()):
    """The way to every value within a value."""
    entries = value.items() if isinstance(value, dict) else ()
    entries = enumerate(value) if isinstance(value, list) else entries
    return [path, *(found for name, each in entries for found in paths(each, (*path, name)))]


def changed(record, path, *value):
    """A copy with another value at the end of a path, or without what is there."""
    record = copy.deepcopy(record)
    *way, last = path
    place = record
    for name in way:
        place = place[name]
    if value:
        (place[last],) = value
    else:
        del place[last]
    return record


def read(found):
    meta.check(found)
    inputs.of_meta(found)
    inputs.example_of_meta(found)
    opened.plan_of(found)
    record.from_json(found["config"])


@pytest.mark.parametrize(
    "found",
    [of_before(), of_today("swav_fashion_mnist")],
    ids=["before", "swav"],
)
def test_no_change_of_any_field_gives_more_than_one_line(found):
    read(found)
    refused = 0
    for path in paths(found)[1:]:
        changes = [changed(found, path), *(changed(found, path, value) for value in VALUES)]
        for each in changes:
            try:
                read(each)
            except ValueError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 500


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    config = models.ViTConfig(width=8, depth=1, num_heads=2, patch_size=4, pool="mean")
    variables = {"params": {"weight": jnp.ones(2)}}
    state = TrainState(jnp.int32(4), variables["params"], {}, ())
    with Checkpoints(directory) as saved:
        saved.save(state, variables, tiny.meta(config), loss=1.0)
    return directory


def rewrite(directory, found):
    """Records something else, with a right checksum."""
    step = directory / "checkpoints" / "4"
    (step / "meta" / "metadata").write_text(json.dumps(found))
    sign(step)


def sign(step):
    (step / manifest.MANIFEST).unlink()
    manifest.write(step)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("encoder",), (), "meta: encoder must be there; got none"),
        (("plan", "batch_size"), (), "meta: plan.batch_size must be there; got none"),
        (("plan", "batch_size"), (0,), "meta: plan.batch_size must be at least 1; got 0"),
        (("plan",), ([8, 2, 4],), r"meta: plan must be an object, name to value; got \[8, 2, 4\]"),
        (("versions", "jax"), (10.2,), "meta: versions.jax must be text; got 10.2"),
        (("dataset", "size"), ("16",), "meta: dataset.size must be a whole number of .*; got '16'"),
        (("dataset", "size"), (10**30,), "meta: dataset.size must be a whole number of less than "),
        (("config", "method"), ("SimCLR",), "meta: config.method must be an object"),
        (("inputs", 0, "shape"), ([-1, 8, 3],), r"meta: inputs.image.shape must be at least 1; go"),
        (("inputs", 0, "shape"), (8,), "meta: inputs.shape must be a list; got 8"),
        (("inputs", 0, "dtype"), ("colour",), "meta: inputs.image.dtype must name a type of numbe"),
        (("step",), (True,), "meta: step must be a whole number of less than 64 bits; got True"),
    ],
)
def test_a_field_that_is_missing_or_mistyped_is_named(saved_run, path, value, told):
    rewrite(saved_run, changed(tiny.meta(models.ViTConfig(), step=4), path, *value))
    place = rf"^checkpoint .*/4/meta/metadata: {told}.* Was it changed, or written by another prog"
    for reader in (checkpoints.read_meta, checkpoints.restore_encoder, opened.open_run):
        with pytest.raises(CheckpointError, match=place):
            reader(saved_run)


def test_an_encoders_fields_are_of_their_types(saved_run):
    found = tiny.meta(models.ResNetConfig(), step=4)
    found["encoder"]["fields"]["zero_init_residual"] = "x"
    rewrite(saved_run, found)
    text = r"/4: its encoder cannot be built as recorded: ResNetConfig: zero_init_residual must be "
    with pytest.raises(CheckpointError, match=text + "true or false; got 'x'"):
        checkpoints.restore_encoder(saved_run)


def test_a_network_that_cannot_be_built_is_said_in_one_line(saved_run):
    found = tiny.meta(models.ViTConfig(patch_size=4), step=4)
    found["inputs"][0]["shape"] = [15, 15, 3]
    rewrite(saved_run, found)
    with pytest.raises(CheckpointError, match=r"cannot be built as recorded: .*15") as caught:
        checkpoints.restore_encoder(saved_run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image_size", "channels"])
def test_a_record_of_before_has_the_size_of_an_image(name):
    with pytest.raises(ValueError, match=f"^meta: {name} must be there; got none"):
        meta.check(changed(of_before(), (name,)))
    with pytest.raises(ValueError, match=f"^meta: {name} must be at least 1; got -1"):
        meta.check(changed(of_before(), (name,), -1))


def test_what_is_no_json_is_named(saved_run):
    rewrite(saved_run, tiny.meta(models.ViTConfig(), step=4))
    step = saved_run / "checkpoints" / "4"
    (step / "meta" / "metadata").write_text('{"encoder": ')
    sign(step)
    with pytest.raises(
        CheckpointError, match=r"/4/meta/metadata: meta must be JSON; got other text: Expec"
    ):
        checkpoints.read_meta(saved_run)
