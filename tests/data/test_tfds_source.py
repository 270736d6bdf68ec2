import json

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxssl import data
from jaxssl.augment import policies
from jaxssl.data import crops


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A TFDS data_dir with "squares", prepared from a class folder's worth of arrays."""
    directory = tmp_path_factory.mktemp("tfds")
    images = np.random.default_rng(4).integers(0, 256, (20, 6, 6, 1), np.uint8)
    np.savez(directory / "a.npz", images=images, labels=np.arange(20) % 4)
    data.prepare(directory / "a.npz", directory / "squares", show_progress=False)
    return directory


def open_named(data_dir, name="squares", split="train"):
    return data.ImageData(f"tfds:{name}", 6, 1, data_dir=str(data_dir)).open(split)


def open_directory(directory, split="train"):
    return data.ImageData(str(directory), 6, 1).open(split)


def test_by_name_by_directory_and_by_version_are_one(data_dir):
    sources = [
        open_named(data_dir),
        open_named(data_dir, "squares:1.0.0"),
        open_directory(data_dir / "squares"),
        open_directory(data_dir / "squares" / "1.0.0"),
    ]
    assert {(len(each), each.name, each.num_classes) for each in sources} == {
        (16, "squares/1.0.0", 4)
    }
    assert len({each.fingerprint for each in sources}) == 1
    for each in sources[1:]:
        np.testing.assert_array_equal(each[5]["image"], sources[0][5]["image"])


def test_the_newest_version_is_taken(data_dir, tmp_path):
    for version in ("1.0.0", "2.0.0", "10.0.0"):
        (tmp_path / "squares" / version).mkdir(parents=True)
        for file in (data_dir / "squares" / "1.0.0").iterdir():
            content = file.read_bytes()
            if file.name == "dataset_info.json":
                content = content.replace(b'"1.0.0"', f'"{version}"'.encode())
            (tmp_path / "squares" / version / file.name).write_bytes(content)
    assert open_directory(tmp_path / "squares").name == "squares/10.0.0"


def test_slices_and_sums_of_splits(data_dir):
    assert len(open_named(data_dir, split="train[:50%]")) == 8
    assert len(open_named(data_dir, split="train[:4]+test")) == 8
    assert len(open_named(data_dir, split="all")) == 20
    fingerprints = {
        open_named(data_dir, split=split).fingerprint for split in ("train", "test", "train[:50%]")
    }
    assert len(fingerprints) == 3


def test_unknown_splits_list_the_splits(data_dir):
    for split in ("tran", "test+tran[:50%]"):
        message = r'one of train, test, all, fit, validation; got "tran". Did you mean "train"'
        with pytest.raises(ValueError, match=message):
            open_named(data_dir, split=split)


def test_the_loader_reads_what_tfds_reads(data_dir):
    source = open_named(data_dir)
    records = tfds.data_source("squares", split="train", data_dir=data_dir)
    expected = data.from_arrays(np.stack([record["image"] for record in records]))
    memory = data.Loader(expected, batch_size=5, seed=0)
    with data.Loader(source, batch_size=5, seed=0, num_threads=2) as loader:
        for step in (0, 1, 2, 7):
            np.testing.assert_array_equal(loader.batch(step)["image"], memory.batch(step)["image"])
    labels = np.concatenate([batch["label"] for batch in data.batches(source, 5)])
    assert labels.tolist() == [record["label"] for record in records]


def test_crops_are_cut_out_of_the_records_images(data_dir):
    records = tfds.data_source("squares", split="train", data_dir=data_dir)
    cut = crops.draw(policies.simclr(4).host_crops(), seed=0, step=0, position=0)
    found = open_named(data_dir).cropped(3, cut)
    expected = cut.of_image(Image.fromarray(records[3]["image"][..., 0]), channels=1)
    np.testing.assert_array_equal(found["image"].groups, expected.groups)
    assert found["label"] == records[3]["label"]


def test_unprepared_name_gives_the_commands(data_dir):
    message = (
        r"tfds:mnist must be prepared in .*; got nothing there. .* needs TensorFlow, once: pip "
        r"install tensorflow, then .*tfds.builder\('mnist', data_dir='.*', "
        r"file_format='array_record'\).download_and_prepare\(\)"
    )
    with pytest.raises(FileNotFoundError, match=message):
        open_named(data_dir, "mnist")


def test_tfrecord_is_refused_with_the_right_format(data_dir, tmp_path):
    for file in (data_dir / "squares" / "1.0.0").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    (tmp_path / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))
    message = r"squares/1\.0\.0 must be prepared in the array_record format .* got tfrecord in"
    with pytest.raises(ValueError, match=message):
        open_directory(tmp_path)


def test_a_damaged_template_of_file_names_is_said_with_the_directory(data_dir, tmp_path):
    for file in (data_dir / "squares" / "1.0.0").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    for split in info["splits"]:
        split["filepathTemplate"] = "{DATASET}-{{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=f"{tmp_path} must be a prepared TFDS data set; got damag"):
        open_directory(tmp_path)


def build(name, features, examples, data_dir):
    builder_name, generated = name, examples

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = builder_name
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples(), "validation": self._generate_examples()}

        def _generate_examples(self):
            yield from enumerate(generated)

    Builder(data_dir=data_dir, file_format="array_record").download_and_prepare()


def test_tensor_images_without_labels_and_validation_for_test(tmp_path):
    images = np.random.default_rng(5).integers(0, 256, (3, 6, 6, 3), np.uint8)
    features = {"image": tfds.features.Tensor(shape=(6, 6, 3), dtype=np.uint8)}
    build("tensors", features, [{"image": image} for image in images], tmp_path)
    source = data.ImageData(str(tmp_path / "tensors"), 6, 3).open("test")
    assert len(source) == 3 and not source.labelled and source.num_classes is None
    assert set(source[0]) == {"image"}
    assert {record["image"].tobytes() for record in (source[0], source[1], source[2])} == {
        image.tobytes() for image in images
    }


def test_features_without_images_are_listed(tmp_path):
    features = {"text": tfds.features.Text()}
    build("texts", features, [{"text": "a"}], tmp_path)
    with pytest.raises(ValueError, match=r'feature "image" of uint8 images; got text: Text'):
        open_directory(tmp_path / "texts")
