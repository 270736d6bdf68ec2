"""A run on a film, from the command line to the checkpoint."""

import json

import av
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints, cli
from jaxssl.data import filmprint


@pytest.mark.usefixtures("standard_promotion")
def test_a_film_is_pretrained_on(tmp_path, capsys, monkeypatch):
    film, out = tmp_path / "film.mkv", tmp_path / "run"
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    with av.open(str(film), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "bgr0"
        for shift in range(40):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, shift, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    words = tiny_runs.words("video_colorization_photographs", film, out)
    assert cli.main([*words, "--data.num-frames", "4", "--data.clip-rate", "25"]) == 0
    assert "19 of 27 clips" in capsys.readouterr().out.replace("\n", " ")
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    centres = checkpoints.read_meta(out)["config"]["method"]["fields"]["centres"]
    assert np.shape(centres) == (16, 2)
    # A record of an earlier version, of every byte of the film, is known.
    monkeypatch.setattr(filmprint, "CHUNK", 16)
    recorded = (out / "config.json").read_text()
    assert cli.main([*words, "--data.num-frames", "4", "--data.clip-rate", "25"]) == 0
    assert (out / "config.json").read_text() == recorded
    monkeypatch.undo()
    # The same command finds nothing left to do; another clip rate is another run.
    assert cli.main([*words, "--data.num-frames", "4", "--data.clip-rate", "25"]) == 0
    assert cli.main([*words, "--data.num-frames", "4", "--data.clip-rate", "12.5"]) == 2
    assert "clip_rate (12.5, 25.0)" in capsys.readouterr().err
