"""Features of any images in a file: the run's own preprocessing, in blocks, on after a kill."""

import pathlib

import numpy as np
import pictures
import pytest
from PIL import Image

import jaxssl
from jaxssl import data
from jaxssl.evaluation import embedding, feature_files, preparation, searching
from jaxssl.evaluation.subject import Subject

SMALL = embedding.EmbedConfig(batch_size=8)


@pytest.fixture(scope="module")
def encoder(trained):
    return jaxssl.restore_encoder(trained)


@pytest.fixture
def folder(tmp_path):
    """21 pictures at two depths, and what is no picture."""
    pictures.write_pictures(tmp_path / "photos" / "cats" / "old", 9)
    pictures.write_pictures(tmp_path / "photos" / "train", 12, seed=3)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


@pytest.fixture
def short_blocks(monkeypatch):
    """Blocks of one batch; returns the row numbers of every one that was made."""
    made, add = [], embedding._Parts.add

    def noted(parts, block):
        made.append(block["rows"].tolist())
        add(parts, block)

    monkeypatch.setattr(embedding, "BLOCK_BATCHES", 1)
    monkeypatch.setattr(embedding._Parts, "add", noted)
    return made


def resized(path):
    """As the run read its images: grey, 16 x 16, the centre."""
    image = Image.open(path).convert("L")
    short = min(image.size)
    left, top = ((side - short) / 2 for side in image.size)
    box = (left, top, left + short, top + short)
    return np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC, box=box))[..., None]


def test_files_are_embedded_as_the_run_read_its_images(encoder, folder):
    paths = sorted((folder / "train").glob("*"))
    found = encoder.embed(paths)
    expected = encoder(np.stack([resized(path) for path in paths])).pooled
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(str(paths[3]))[0], found[3], atol=1e-5)
    np.testing.assert_allclose(encoder.embed(iter(paths), batch_size=5), found, atol=1e-5)


def test_deep_files_are_scaled_by_the_range_that_the_run_recorded(encoder, tmp_path):
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(16 * shades).save(tmp_path / "deep.png")
    Image.fromarray(shades.astype(np.uint8)).save(tmp_path / "plain.png")
    recorded = dict(encoder.meta["config"]["data"]["fields"], value_range=[0, 4080])
    config = dict(encoder.meta["config"], data={"name": "any", "fields": recorded})
    ranged = jaxssl.RestoredEncoder(
        encoder.module, encoder.variables, dict(encoder.meta, config=config)
    )
    deep, plain = ranged.embed([tmp_path / "deep.png", tmp_path / "plain.png"])
    np.testing.assert_allclose(deep, plain, atol=1e-5)


def test_files_that_are_none_are_named(encoder, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"torn\.png must be a readable image; got"):
        encoder.embed(tmp_path / "torn.png")
    with pytest.raises(ValueError, match=r"away\.png must be a readable image; got .*No such file"):
        encoder.embed(tmp_path / "away.png")
    with pytest.raises(ValueError, match="paths must be of one image at least; got none"):
        encoder.embed([])
    fed = [{"name": "tokens", "shape": [16], "dtype": "int32"}]
    texts = jaxssl.RestoredEncoder(encoder.module, {}, dict(encoder.meta, inputs=fed))
    with pytest.raises(ValueError, match=r"one square image; got one that is fed tokens \[16\]"):
        texts.embed("cat.png")


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".npy"])
def test_a_folder_is_embedded_at_any_depth(trained, encoder, folder, tmp_path, suffix):
    out = tmp_path / f"features{suffix}"
    made = embedding.embed(trained, str(folder), out, SMALL)
    paths = sorted(str(path) for path in folder.rglob("*.[pj][np]g"))
    assert made[:3] == (21, 16, "pooled") and not made.unreadable
    found = feature_files.read(out)
    assert list(found.paths) == paths and found.labels is None
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, encoder.embed(paths), atol=1e-5)
    assert found.about["step"] == 2 and found.about["layer"]["stage"] is None
    assert not list(tmp_path.glob("*.parts")) and not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".npy"])
def test_a_killed_run_goes_on_and_gives_the_same_file(
    trained, folder, tmp_path, short_blocks, monkeypatch, suffix
):
    embedding.embed(trained, str(folder), tmp_path / f"whole{suffix}", SMALL)
    assert [len(rows) for rows in short_blocks] == [8, 8, 5]
    write = embedding.files.write_whole

    def killed(path, content):
        if pathlib.Path(path).name == "000001.safetensors":
            raise KeyboardInterrupt
        write(path, content)

    out = tmp_path / f"again{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(embedding.files, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            embedding.embed(trained, str(folder), out, SMALL)
    assert not out.exists()
    short_blocks.clear()
    made = embedding.embed(trained, str(folder), out, SMALL)
    assert made.num_resumed == 1 and [rows[0] for rows in short_blocks] == [8, 16]
    assert out.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_a_damaged_part_is_made_again(trained, folder, tmp_path, short_blocks, monkeypatch):
    out = tmp_path / "features.npz"
    with monkeypatch.context() as patch:
        patch.setattr(embedding._Parts, "join", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            embedding.embed(trained, str(folder), out, SMALL)
    (tmp_path / "features.npz.parts" / "000001.safetensors").write_bytes(b"torn")
    made = embedding.embed(trained, str(folder), out, SMALL)
    assert made.num_resumed == 1 and made.num_images == 21


def test_parts_of_other_features_are_refused(trained, folder, tmp_path, monkeypatch):
    out = tmp_path / "features.npz"
    with monkeypatch.context() as patch:
        patch.setattr(embedding._Parts, "join", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            embedding.embed(trained, str(folder), out, SMALL)
    with pytest.raises(ValueError, match=r"\.parts must hold parts of the same features, to go on"):
        embedding.embed(trained, str(folder), out, embedding.EmbedConfig(batch_size=16))


def test_unreadable_images_have_no_row_and_are_named(trained, folder, tmp_path):
    torn = folder / "train" / "05.jpg"
    torn.write_bytes(b"torn")
    made = embedding.embed(trained, str(folder), tmp_path / "features.npz", SMALL)
    assert made.unreadable == (str(torn),) and made.num_images == 20
    assert str(torn) not in feature_files.read(tmp_path / "features.npz").paths
    for path in folder.rglob("*.[pj][np]g"):
        path.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"one must be readable; got 21 that are not, such as "):
        embedding.embed(trained, str(folder), tmp_path / "none.npz", SMALL)
    assert not list(tmp_path.glob("none*"))


def test_a_split_of_a_data_set_has_labels_and_rows(trained, tmp_path):
    prepared = preparation.prepare(trained, Subject())
    recorded = jaxssl.restore_encoder(trained).meta["config"]["data"]["fields"]["path"]
    options = embedding.EmbedConfig(split="test", stage=-1, batch_size=8)
    made = embedding.embed(trained, recorded, tmp_path / "test.parquet", options)
    found = feature_files.read(tmp_path / "test.parquet")
    assert made.layer == "stage 0" and found.paths[3] == "test[3]"
    np.testing.assert_array_equal(found.labels, prepared.test.labels)
    np.testing.assert_allclose(found.features, prepared.test.layers["stage 0"], atol=1e-5)


def test_a_split_of_a_folder_has_its_paths_and_no_stand_ins(trained, folder, tmp_path):
    (folder / "cats").rename(folder / "test")
    torn = folder / "train" / "05.jpg"
    torn.write_bytes(b"torn")
    options = embedding.EmbedConfig(split="train")
    made = embedding.embed(trained, str(folder), tmp_path / "train.npy", options)
    assert made.unreadable == (str(torn),)
    expected = sorted(str(path) for path in (folder / "train").glob("*") if path != torn)
    assert list(feature_files.read(tmp_path / "train.npy").paths) == expected


@pytest.fixture
def embedded(trained, folder, tmp_path):
    embedding.embed(trained, str(folder), tmp_path / "features.npz", SMALL)
    return tmp_path / "features.npz"


def test_the_nearest_images_are_those_of_numpy(trained, encoder, folder, embedded):
    query = folder / "train" / "04.png"
    found = searching.search(trained, query, embedded, count=5)
    bank = feature_files.read(embedded)
    (own,) = encoder.embed(query)
    norms = np.linalg.norm(bank.features, axis=1) * np.linalg.norm(own)
    cosines = bank.features @ own / norms
    assert found[0].path == str(query) and found[0].similarity == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose([each.similarity for each in found], np.sort(cosines)[:-6:-1], 1e-5)
    for similarity, path in found:
        assert cosines[bank.paths.index(path)] == pytest.approx(similarity, abs=1e-5)


def test_features_of_other_weights_and_too_few_are_refused(trained, folder, embedded, monkeypatch):
    query = folder / "train" / "04.png"
    with pytest.raises(ValueError, match=r"count must be in \[1, 21\]; got 22\. .* has no more"):
        searching.search(trained, query, embedded, count=22)
    with monkeypatch.context() as patch:
        patch.setattr(searching.checkpoints, "fingerprint", lambda *_: "00")
        with pytest.raises(ValueError, match=r"must be made by the encoder of .* of other weights"):
            searching.search(trained, query, embedded)
    found = feature_files.read(embedded)
    heading = feature_files.Heading(found.features.shape, found.paths, None, {"step": 2})
    feature_files.write(embedded, heading, [found.features])
    with pytest.raises(ValueError, match=r"FEATURES: .* must say what made it; got 'weights'"):
        searching.search(trained, query, embedded)


def test_every_image_of_a_folder_is_listed_once(folder):
    (folder / "again").symlink_to(folder / "train")
    assert data.list_every(folder) == sorted(folder.rglob("*.[pj][np]g"))
