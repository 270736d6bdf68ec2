"""From a recipe to a run: what is asked of the data set once, and kept."""

import copy
import dataclasses
import io
import json

import jax
import numpy as np
import pictures
import pytest
import tiny
import tiny_runs
from jax.experimental import multihost_utils
from rich.console import Console

from jaxssl import checkpoints, data, jsonable, methods, models
from jaxssl.augment import policies
from jaxssl.data import valuerange
from jaxssl.evaluation import splits
from jaxssl.methods.rotation import Rotation
from jaxssl.runs import identity, pretrain, recipe, record
from jaxssl.runs.directory import RunDirectory
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig

ASKED = []


@dataclasses.dataclass(frozen=True)
class Statistical(Rotation):
    """A method that wants to know the data set's mean."""

    mean: tuple[float, ...] = ()
    num_examples: int = 0

    def prepare(self, num_examples, sample):
        ASKED.append(sample())
        mean = float(ASKED[-1].mean())
        return dataclasses.replace(self, mean=(mean,), num_examples=num_examples)

    def build(self, encoder, *, axis_name):
        assert self.mean, "built before it was prepared"
        return super().build(encoder, axis_name=axis_name)


pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    npz = tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")
    return recipe.Recipe(
        method=Statistical(augment=policies.CropFlip(size=tiny.SIZE)),
        encoder=models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=8),
        data=data.ImageData(path=str(npz), image_size=tiny.SIZE, channels=1),
        optimizer=OptimizerConfig(warmup_epochs=0),
        training=TrainingConfig(batch_size=8, epochs=0.5),
        run=RunConfig(log_every=1),
    )


class Unread:
    """A source of which only the length may be asked."""

    def __len__(self):
        return 5000


@pytest.mark.parametrize(
    "name",
    sorted(
        methods.all_configs().keys()
        - {"Colorization", "SplitBrain", "VideoColorization", "IGPT"}
        - {"Supervised"}  # which reads labels
    ),
)
def test_only_tasks_of_colours_read_images_before_a_run(name):
    pretrain.prepare(methods.all_configs()[name](), Unread())


def test_statistics_are_taken_once_and_kept_by_the_checkpoint(config, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "NUM_SAMPLED", 10)
    ASKED.clear()
    pretrain.run(config, tmp_path / "run", Console(quiet=True))
    (images,) = ASKED
    train = config.data.open("train").columns["image"]
    np.testing.assert_array_equal(images, train[np.linspace(0, len(train) - 1, 10).astype(int)])

    recorded = checkpoints.read_meta(tmp_path / "run")["config"]["method"]
    written = jsonable.from_json(Statistical, recorded["fields"])
    assert written == dataclasses.replace(
        config.method, mean=(float(images.mean()),), num_examples=len(train)
    )
    # What was asked for is what a resumed run is compared with, not what it was answered.
    identity = json.loads((tmp_path / "run" / "config.json").read_text())
    assert identity["config"]["method"]["fields"]["mean"] == []
    pretrain.run(config, tmp_path / "run", Console(quiet=True))
    assert len(ASKED) == 1


def test_the_first_lines_say_what_is_read_and_what_is_kept(config, tmp_path):
    pictures.write_pictures(tmp_path / "set", 30)
    (tmp_path / "set" / "notes.txt").touch()
    images = data.ImageData(str(tmp_path / "set"), image_size=tiny.SIZE, channels=1)
    config = dataclasses.replace(config, data=images, method=Statistical(mean=(0.5,)))

    def about(split):
        source = config.data.open(split)
        with data.Loader(source, batch_size=8, seed=0) as loader:
            return pretrain.build(config, source, loader).about.splitlines()

    first, second, *_ = about("train")
    kept = "24 of 30 images; 6 kept for evaluation (--data.train-split all takes them too); "
    assert f"on {tmp_path / 'set'}: {kept}" in first
    assert second == f"left out of {tmp_path / 'set'}: 1 other file (1 .txt)"
    assert f"on {tmp_path / 'set'}: 30 images; " in about("all")[0]


def test_another_method_in_the_same_directory_is_refused_whatever_it_asks(config, tmp_path):
    pretrain.run(config, tmp_path / "run", Console(quiet=True))
    other = dataclasses.replace(
        config, method=methods.all_configs()["Rotation"](config.method.augment)
    )
    refusal = r"must be new or the directory of this very run.*method.name"
    with pytest.raises(ValueError, match=refusal):
        pretrain.run(other, tmp_path / "run", Console(quiet=True))
    back = dataclasses.replace(config, method=Statistical(policies.CropFlip(size=8)))
    with pytest.raises(ValueError, match=r"must be new or the directory of this very run.*size"):
        pretrain.run(back, tmp_path / "run", Console(quiet=True))


def test_the_range_of_values_is_measured_once_and_kept(config, tmp_path, monkeypatch):
    with np.load(config.data.path) as archive:
        deep = {name: archive[name] for name in archive.files}
    for name in deep:
        if deep[name].dtype == np.uint8:
            deep[name] = 16 * deep[name].astype(np.uint16)
    np.savez(tmp_path / "deep.npz", **deep)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, path=str(tmp_path / "deep.npz"))
    )
    text = io.StringIO()
    pretrain.run(config, tmp_path / "run", Console(file=text, width=500))
    meta = checkpoints.read_meta(tmp_path / "run")
    low, high = meta["config"]["data"]["fields"]["value_range"]
    assert f"; values {low:g} to {high:g} are 0 to 255 (--data.value-range);" in text.getvalue()

    def measured_again(images):
        raise AssertionError("measured again")

    monkeypatch.setattr(valuerange, "measured", measured_again)
    pretrain.run(config, tmp_path / "run", Console(quiet=True))
    opened = splits.open_splits(meta)
    assert opened.train.value_range == opened.test.value_range == (low, high)
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, value_range=(0, 9)))
    with pytest.raises(ValueError, match=r"differs in \(now, there\): data.fields.value_range"):
        pretrain.run(other, tmp_path / "run", Console(quiet=True))


def test_processes_agree_before_the_first_writes(monkeypatch, tmp_path):
    """What one process writes must not make another take the directory for somebody else's."""
    calls = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        multihost_utils, "sync_global_devices", lambda name: calls.append(list(tmp_path.iterdir()))
    )
    known = {"config": record.to_json(recipe.load("mae_fashion_mnist")), "dataset": {}}
    (tmp_path / "run").mkdir()
    identity.claim(RunDirectory(tmp_path / "run"), known)
    assert calls == [[tmp_path / "run"]]
    assert (tmp_path / "run" / "config.json").exists()


def test_config_json_is_written_only_where_it_says_another_thing(config, tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path)
    known = identity.of(config, config.data.open("train"))
    other = copy.deepcopy(known)
    other["config"]["run"]["log_every"] += 1
    written = []
    write = identity.files.write_whole
    monkeypatch.setattr(
        identity.files, "write_whole", lambda *args: written.append(args) or write(*args)
    )
    for asked in (known, known, other, other):
        identity.claim(directory, asked)
    assert len(written) == 2


def test_a_damaged_config_json_is_restored_on_request(config, tmp_path):
    out = tmp_path / "run"
    pretrain.run(config, out, Console(quiet=True))
    path = RunDirectory(out).config
    whole = path.read_bytes()
    ASKED.clear()
    for text in (b"", whole[:100], None):
        path.unlink()
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(ValueError, match="The same command with --restore-config writes it"):
            pretrain.run(config, out, Console(quiet=True))
        console = Console(file=io.StringIO(), width=200)
        pretrain.run(config, out, console, restore_config=True)
        assert f"{path} restored from the checkpoint of step" in console.file.getvalue()
        assert path.read_bytes() == whole  # as it was asked for, not as the data answered
    assert ASKED == []
    console = Console(file=io.StringIO(), width=200)
    pretrain.run(config, out, console, restore_config=True)
    assert "restored" not in console.file.getvalue()


def test_nothing_is_restored_where_nothing_is_saved(config, tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match="must hold a complete checkpoint; got n"):
        pretrain.run(config, tmp_path / "run", Console(quiet=True), restore_config=True)
    assert not (tmp_path / "run").exists()


def test_another_run_is_refused_with_a_restored_config_too(config, tmp_path):
    out = tmp_path / "run"
    pretrain.run(config, out, Console(quiet=True))
    RunDirectory(out).config.write_text("")
    training = dataclasses.replace(config.training, seed=7)
    other = dataclasses.replace(config, training=training)
    with pytest.raises(ValueError, match=r"holds another one, which .*: training\.seed \(7, 0\)"):
        pretrain.run(other, out, Console(quiet=True), restore_config=True)
