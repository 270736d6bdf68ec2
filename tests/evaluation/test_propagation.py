import json

import av
import numpy as np
import oracles
import pytest
import tiny
from PIL import Image

from jaxssl import checkpoints, cli, inputs, named
from jaxssl.data import masks
from jaxssl.evaluation import davis, propagation

SIZE = 16


def test_values_are_carried_as_a_loop_carries_them():
    generator = np.random.default_rng(0)
    tokens = generator.normal(size=(5, 4, 3)).astype(np.float32)
    values = generator.normal(size=(4, 2)).astype(np.float32)
    found = propagation.propagate(tokens, values, num_references=2, temperature=0.7)
    unit = tokens * np.sqrt(3) / np.linalg.norm(tokens, axis=-1, keepdims=True)
    held = [values, values]
    before = [unit[0], unit[0]]
    np.testing.assert_array_equal(found[0], values)
    for frame in range(1, 5):
        copied = oracles.copy_values(
            unit[frame : frame + 1],
            np.concatenate(before[-2:])[None],
            np.concatenate(held[-2:])[None],
            temperature=0.7,
        )[0]
        np.testing.assert_allclose(found[frame], copied, rtol=1e-4, atol=1e-5)
        held.append(copied)
        before.append(unit[frame])


def test_a_film_that_stands_still_keeps_its_colours():
    tokens = np.tile(40 * np.eye(4, dtype=np.float32)[None], (3, 1, 1))
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    carried = propagation.propagate(tokens, values, num_references=3, temperature=0.1)
    np.testing.assert_allclose(carried, np.stack([values] * 3), atol=1e-4)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    picture = (
        np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=6)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        for shift in range(5):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, shift, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def run_directory(tmp_path, monkeypatch):
    """A run whose encoder is a fresh one."""
    import jax

    config = tiny.ENCODERS["ViT"]
    module = config.build()
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    variables = jax.jit(module.init)(jax.random.key(0), images)
    meta = {
        "encoder": named.to_json(config),
        "inputs": inputs.to_json(inputs.of_image(SIZE, 3)),
        "step": 1,
        "config": {"method": {"name": "SimCLR"}},
    }
    encoder = checkpoints.RestoredEncoder(module, variables, meta)
    monkeypatch.setattr(checkpoints, "restore_encoder", lambda run, step: encoder)
    return tmp_path / "run"


def test_a_run_is_propagated_beside_its_baselines(run_directory, film, tmp_path, capsys):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 200
    Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ["propagate", str(run_directory), str(film), "--mask", str(tmp_path / "mask.png")]
    assert cli.main(words) == 0
    out = run_directory / "propagation" / "film"
    record = json.loads((out / "result.json").read_text())
    assert record["results"].keys() == {"trained", "random", "in place"}
    for result in record["results"].values():
        assert len(result["by_frame"]) == 4
        assert result["mean_error"] == pytest.approx(np.mean(result["by_frame"]))
    assert record["protocol"]["num_frames_read"] == 5 and record["protocol"]["cells"] == 16
    assert "colors in place: mean error" in capsys.readouterr().out
    assert len(opened(out / "frames.png")) > 100
    found = [opened(out / f"mask-{number:04d}.png") for number in range(5)]
    assert all(each.shape == (SIZE, SIZE) and set(np.unique(each)) <= {0, 200} for each in found)
    expected = np.zeros((SIZE, SIZE), bool)
    expected[4:12, 4:12] = True
    assert np.mean((found[0] == 200) == expected) > 0.9


def test_true_masks_of_all_frames_tell_j_and_f(run_directory, film, tmp_path, capsys):
    truth = np.zeros((5, 32, 32), np.uint8)
    for shift, mask in enumerate(truth):
        mask[8:24, 8 + 2 * shift : 24] = 5
        masks.write(tmp_path / f"{shift}.png", mask)
    words = ["propagate", str(run_directory), str(film), "--truth", str(tmp_path)]
    assert cli.main(words) == 0
    out = run_directory / "propagation" / "film"
    record = json.loads((out / "result.json").read_text())
    true = truth[:, 1::2, 1::2]  # as nearest neighbours bring it to 16 pixels
    made = np.stack([opened(out / f"mask-{number:04d}.png") for number in range(5)])
    results = record["results"]
    assert results["trained"]["masks"] == davis.measure(true, made)
    still = np.repeat(true[:1], 5, axis=0)
    assert results["in place"]["masks"] == davis.measure(true, still)
    assert 0 < results["random"]["masks"]["J&F"] <= 1
    assert f"masks in place: J&F {100 * davis.measure(true, still)['J&F']:.1f} % (J " in (
        capsys.readouterr().out
    )
    assert record["protocol"]["mask_neighbors"] == 5


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image)


def fine(path):
    Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32) % 100).save(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"nope"), "must be a readable image; got content of no"),
        (
            lambda path: Image.new("RGB", (8, 8)).save(path, "PNG"),
            "got PIL mode RGB, where one",
        ),
        (fine, "at most 64 values, each a class; got "),
    ],
)
def test_masks_that_cannot_be_are_named(tmp_path, make, message):
    make(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=f"--mask .*mask.png: .*{message}"):
        propagation.read_mask(tmp_path / "mask.png", 32)


def test_wrong_input_is_one_line(run_directory, film, tmp_path, capsys):
    np.savez(tmp_path / "stills.npz", images=np.zeros((10, 4, 4, 3), np.uint8))
    for words, text in (
        ([str(tmp_path / "stills.npz")], "must be given one video of at least 2 frames at 6 a sec"),
        ([str(tmp_path / "no.mp4")], "which does not exist"),
        ([str(film), "--frame-rate", "0.5"], "got"),
        ([str(film), "--num-frames", "1"], "num_frames must be at least 2"),
        ([str(film), "--num-references", "0"], "num_references must be at least 1; got 0"),
        (
            [str(film), "--temperature", "0"],
            "temperature must be finite and above 0; got 0.0. The",
        ),
        ([str(film), "--mask", str(tmp_path / "no.png")], "no.png"),
        ([str(film), "--truth", str(tmp_path)], "must be a folder of a PNG mask for each frame"),
        ([str(film), "--truth", "a", "--mask", "b"], "--mask: nothing uses it; --truth has that"),
        ([str(film), "--mask-radius", "0"], "mask_radius must be at least 1; got 0. DINO's are 7"),
    ):
        assert cli.main(["propagate", str(run_directory), *words]) == 2, words
        error = capsys.readouterr().err
        assert text in error and error.count("\n") == 1


def test_cells_must_form_a_grid():
    with pytest.raises(ValueError, match=r"square whose side divides .* got 9 cells of 16 pixels"):
        propagation._side(9, 16)
