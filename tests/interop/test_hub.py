"""Published weights by their names, from a Hub and a server that are played here."""

import hashlib
import importlib.machinery
import importlib.util
import io
import json
import sys
import types
import urllib.request

import numpy as np
import pytest
import safetensors.numpy
import weight_files

from jaxssl import checkpoints, cli, interop
from jaxssl.interop import hub

TENSORS = weight_files.tensors("ViT of timm", weight_files.vit())


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A package huggingface_hub that takes its repositories from folders; the folder of those."""
    fake, errors = (
        types.ModuleType(name) for name in ("huggingface_hub", "huggingface_hub.errors")
    )
    errors.EntryNotFoundError = type("EntryNotFoundError", (Exception,), {})
    errors.LocalEntryNotFoundError = type("Local", (errors.EntryNotFoundError,), {})
    fake.asked = []

    def hf_hub_download(repository, file, *, local_files_only):
        fake.asked.append(local_files_only)
        if "/" not in repository:
            raise ValueError("a name without an owner")
        if not (tmp_path / "server" / repository).is_dir():
            raise errors.LocalEntryNotFoundError("no route to host.\nMore lines.")
        path = tmp_path / "server" / repository / file
        if not path.exists():
            raise errors.EntryNotFoundError(file)
        return str(path)

    fake.hf_hub_download = hf_hub_download
    fake.__spec__ = importlib.machinery.ModuleSpec("huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return tmp_path / "server"


def repository(server, name):
    folder = server / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"model_args": {"num_heads": 4}, "pretrained_cfg": {"mean": [0.5] * 3}})
    )
    return folder


def test_weights_come_with_what_lies_beside_them(server, tmp_path):
    folder = repository(server, "timm/tiny.in1k")
    safetensors.numpy.save_file(TENSORS, folder / "model.safetensors")
    out = tmp_path / "run"
    assert cli.main(["import", "timm:tiny.in1k", "--out", str(out)]) == 0
    encoder = checkpoints.restore_encoder(out)
    assert (encoder.module.config.num_heads, encoder.module.config.mean) == (4, (0.5,) * 3)
    assert encoder.meta["origin"]["imported"]["file"] == "timm:tiny.in1k"


def test_an_older_repository_has_a_file_of_torch(server):
    folder = repository(server, "somebody/tiny")
    weight_files.write_pth(folder / "pytorch_model.bin", TENSORS)
    found = interop.load("hf:somebody/tiny", num_heads=2)  # config.json says 4
    np.testing.assert_array_equal(
        found.variables["params"]["norm"]["scale"], TENSORS["norm.weight"]
    )
    assert found.module.config.num_heads == 4


def test_what_cannot_be_fetched_is_said_with_its_address(server, tmp_path, monkeypatch, capsys):
    def refused(name):
        assert cli.main(["import", name, "--out", str(tmp_path / "run")]) == 2
        assert not (tmp_path / "run").exists()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    address = "etch https://huggingface.co/timm/b/resolve/main/model.safetensors, and config.json"
    line = refused("timm:b")
    assert "timm:b: must be within reach; got: no route to host. F" + address in line
    assert sys.modules["huggingface_hub"].asked == [False, True, True, True]
    assert "hf:b: must be within reach; got: a name without an owner. F" in refused("hf:b")
    repository(server, "timm/b")  # without weights
    line = refused("timm:b")
    assert "got: neither model.safetensors nor pytorch_model.bin in it. F" + address in line
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = refused("timm:b")
    assert address in line and 'pip install "jaxssl[hub]"' in line
    assert 'Did you mean "resnet50-v2"?' in refused("torchvision:resnet50v2")


def test_a_file_of_torchvision_is_fetched_once_and_whole(tmp_path, monkeypatch):
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        return io.BytesIO(content)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(FileNotFoundError, match=r"got: a file of sha256 .*resnet18-f37072fd\.pth"):
        hub.locate("torchvision:resnet18")
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]

    monkeypatch.setitem(hub._TORCHVISION, "resnet18", f"resnet18-{sha256[:8]}.pth")
    for _ in range(2):
        assert hub.locate("torchvision:resnet18").read_bytes() == content
    assert asked[1:] == [f"https://download.pytorch.org/models/resnet18-{sha256[:8]}.pth"]


def test_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timm:here").write_bytes(b"")
    for path in ("timm:here", "a.safetensors", "other:name"):
        assert str(hub.locate(path)) == path
