"""What embed and search print, and what they refuse."""

import pictures

from jaxssl import cli


def test_a_folder_is_embedded_and_searched(finished, tmp_path, capsys, refused):
    pictures.write_pictures(tmp_path / "photos", 6)
    (tmp_path / "photos" / "04.png").write_bytes(b"torn")
    out = tmp_path / "features.npz"
    words = ["embed", finished, tmp_path / "photos", "--out", out]
    assert cli.main([str(word) for word in words]) == 0
    said, warned = capsys.readouterr()
    assert said == f"{out}: 5 images x 16 features, pooled\n"
    assert warned == (
        f"jaxssl: left out, as unreadable: 1 images such as {tmp_path}/photos/04.png\n"
        f"next: jaxssl search {finished} QUERY {out}\n"
    )
    query = tmp_path / "photos" / "03.jpg"
    assert cli.main(["search", str(finished), str(query), str(out), "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1.0000  {query}" and len(lines) == 2
    assert "must be a new file; got" in refused(*words)
    assert "count must be in [1, 5]; got 10" in refused("search", finished, query, out)
    torn = tmp_path / "photos" / "04.png"
    assert "must be a readable image" in refused("search", finished, torn, out, "--count", 1)


def test_what_cannot_be_embedded_is_named(finished, npz, tmp_path, refused):
    def embed(images, *more, out="f.npz"):
        return refused("embed", finished, images, "--out", tmp_path / out, *more)

    assert "which is no file and no folder. Of a data set, add --split" in embed("digits")
    assert f"a data set has splits; got {npz} alone. Add --split" in embed(npz)
    assert "must hold images (.png" in embed(tmp_path)
    assert "--out: must end in .npz, .parquet, .npy; got" in embed(npz, out="f.csv")
    assert "stage: must be a stage of the encoder" in embed(npz, "--split", "test", "--stage", 9)
    assert "the split of" in embed(npz, "--split", "toast")
    assert not list(tmp_path.iterdir())
