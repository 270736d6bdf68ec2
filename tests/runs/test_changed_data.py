"""A run whose data set changed goes on where that is asked for, and says what changes."""

import dataclasses
import io
import json

import pytest
import tiny
from pictures import write_pictures
from rich.console import Console

from jaxssl import checkpoints, data, models
from jaxssl.augment import policies
from jaxssl.methods.rotation import Rotation
from jaxssl.runs import pretrain, recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig

pytestmark = pytest.mark.usefixtures("standard_promotion")


@dataclasses.dataclass(frozen=True)
class Remembering(Rotation):
    """A method with a memory of each image."""

    num_examples: int = 0

    def prepare(self, num_examples, sample):
        return dataclasses.replace(self, num_examples=num_examples)


@pytest.fixture
def photos(tmp_path):
    write_pictures(tmp_path / "photos", 24)
    return tmp_path / "photos"


def recipe_of(photos, *, method=Rotation, epochs=1.0, accepts=False):
    return recipe.Recipe(
        method=method(augment=policies.CropFlip(size=tiny.SIZE)),
        encoder=models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=8),
        data=data.ImageData(str(photos), tiny.SIZE, 3, train_split="all"),
        optimizer=OptimizerConfig(warmup_epochs=0),
        training=TrainingConfig(batch_size=8, epochs=epochs),
        run=RunConfig(log_every=1, checkpoint_every=1, accept_changed_data=accepts),
    )


def run(config, out):
    text = io.StringIO()
    pretrain.run(config, out, Console(file=text, width=500))
    return text.getvalue()


def stopped_early(config, out, monkeypatch):
    """Saves the first step and dies."""
    save = checkpoints.Checkpoints.save

    def save_and_die(self, *args, **options):
        save(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoints.Checkpoints, "save", save_and_die)
        run(config, out)


def test_a_removed_file_is_refused_and_can_be_accepted(photos, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped_early(recipe_of(photos), out, monkeypatch)
    before = (out / "config.json").read_text()
    (photos / "03.jpg").unlink()
    message = r"differs in .*dataset\.size \(23, 24\).* go on with them as they are: --run\.accept"
    with pytest.raises(ValueError, match=message):
        run(recipe_of(photos), out)
    assert (out / "config.json").read_text() == before
    accepting = recipe_of(photos, accepts=True)
    text = run(accepting, out)
    assert f"the data changed from 24 images of {photos} to 23 of {photos} (fingerprint " in text
    assert "From step 1 on their order is that of the new set; an epoch has 2 steps and " in text
    assert "had 3, the run 2 and had 3. Where train and test are parts of one set" in text
    assert "done after step 2 of 2" in text
    assert json.loads((out / "config.json").read_text())["dataset"]["size"] == 23
    # From now on the run is one of the new data.
    assert "the data changed" not in run(recipe_of(photos), out)
    assert "the data changed" not in run(accepting, out)


def test_what_else_differs_is_another_run(photos, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped_early(recipe_of(photos), out, monkeypatch)
    (photos / "03.jpg").unlink()
    message = r"differs in .*training\.epochs \(2\.0, 1\.0\)\. Choose another --out\.$"
    with pytest.raises(ValueError, match=message):
        run(recipe_of(photos, epochs=2.0, accepts=True), out)


def test_a_memory_by_image_cannot_go_on(photos, tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped_early(recipe_of(photos, method=Remembering), out, monkeypatch)
    (photos / "03.jpg").unlink()
    message = r"keep nothing for each of the images; got .*Remembering, .*23 instead of 24\. Begin"
    with pytest.raises(ValueError, match=message):
        run(recipe_of(photos, method=Remembering, accepts=True), out)


def test_a_damaged_file_ends_no_run_and_a_resume_reads_the_same(
    photos, tmp_path, monkeypatch, caplog
):
    whole = (photos / "05.jpg").read_bytes()
    (photos / "05.jpg").write_bytes(whole[: len(whole) // 2])
    run(recipe_of(photos), tmp_path / "at-once")
    assert sum("05.jpg cannot be read" in each.getMessage() for each in caplog.records) == 1
    stopped_early(recipe_of(photos), tmp_path / "twice", monkeypatch)
    run(recipe_of(photos), tmp_path / "twice")
    rows = [
        [json.loads(line)["loss"] for line in metrics.read_text().splitlines()]
        for metrics in (tmp_path / name / "metrics.jsonl" for name in ("at-once", "twice"))
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 3
