"""``.pth`` files without PyTorch: what they may hold is read, and nothing else is even imported."""

import collections
import os
import pickle
import zipfile

import numpy as np
import pytest
import weight_files

from jaxssl.interop import torch_files


def arrays():
    generator = np.random.default_rng(0)
    return collections.OrderedDict(
        weight=generator.normal(size=(3, 4)).astype(np.float32),
        turned=generator.normal(size=(4, 3)).astype(np.float32).T,
        half=generator.normal(size=5).astype(np.float16),
        count=np.array(7, np.int64),
    )


def test_dictionaries_of_tensors_come_back_bit_for_bit(tmp_path):
    value = {"state_dict": arrays(), "epoch": 3, "name": "run", "sizes": [1, (2.5, None, True)]}
    found = torch_files.read(weight_files.write_pth(tmp_path / "a.pth", value))

    assert {name: each for name, each in found.items() if name != "state_dict"} == {
        name: each for name, each in value.items() if name != "state_dict"
    }
    assert isinstance(found["state_dict"], collections.OrderedDict)
    for name, array in arrays().items():
        assert found["state_dict"][name].dtype == array.dtype
        np.testing.assert_array_equal(found["state_dict"][name], array)


class Hostile:
    """Pickled as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Hostile(os.system, "touch owned"), "posix.system"),
        (Hostile(eval, "1"), r"builtin\w*\.eval"),
        (Hostile(getattr, "x", "join"), r"builtin\w*\.getattr"),
        (Hostile(__import__, "os"), r"builtin\w*\.__import__"),
        (np.float64(1.5), "numpy"),
        (os.system, "posix.system"),
    ],
)
def test_whatever_else_a_file_names_is_refused_by_its_name(tmp_path, monkeypatch, value, named):
    monkeypatch.chdir(tmp_path)
    path = weight_files.write_pth(tmp_path / "a.pth", {"w": np.ones(2, np.float32), "x": value})

    with pytest.raises(ValueError, match=named) as caught:
        torch_files.read(path)

    assert "which is not read" in str(caught.value) and "state_dict" in str(caught.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "form",
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (10**12,), (0,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2,), (-1,)),
        (0, (1.5,), (1,)),
    ],
)
def test_a_tensor_lies_in_its_storage(tmp_path, form):
    tensor = weight_files.Tensor(np.ones(4, np.float32), *form)
    path = weight_files.write_pth(tmp_path / "a.pth", {"w": tensor})

    with pytest.raises(ValueError, match="must lie in its storage of 4 numbers"):
        torch_files.read(path)


def rewritten(path, **parts):
    """The archive with other parts, by the ends of their names."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in content.items():
            archive.writestr(name, parts.get(name.rpartition("/")[2].partition(".")[0], each))
    return path


def test_damaged_and_foreign_archives_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    good = {"w": np.ones(4, np.float32)}

    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=r"PyTorch 1\.6 or later, a zip archive"):
        torch_files.read(path)

    weight_files.write_pth(path, good, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="stored as it is; got it compressed"):
        torch_files.read(path)

    weight_files.write_pth(path, good, byteorder=b"big")
    with pytest.raises(ValueError, match="byte order must be little"):
        torch_files.read(path)

    weight_files.write_pth(path, good)
    with pytest.raises(ValueError, match="hold 4 numbers; got 1"):
        torch_files.read(rewritten(path, **{"0": b"\0\0\0\0"}))

    huge = b"\x80\x02K\x01r\xff\xff\xff\x7f."  # LONG_BINPUT 2147483647
    with pytest.raises(ValueError, match="got number 2147483647"):
        torch_files.read(rewritten(path, data=huge))

    with pytest.raises(ValueError, match=r"a\.pth: .*Load it with torch"):
        torch_files.read(rewritten(path, data=b"\x80\x02garbage"))

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("code/model.py", "")
    with pytest.raises(ValueError, match=r"one data\.pkl.*TorchScript"):
        torch_files.read(path)


def test_nothing_that_a_pickle_does_to_what_it_is_given_outlives_it(tmp_path):
    """BUILD sets attributes: of the functions that tensors are made by, too."""
    path = weight_files.write_pth(tmp_path / "a.pth", {"w": np.ones(4, np.float32)})
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}U\x08__name__U\x01xsb."
    torch_files.read(rewritten(path, data=build))

    again = weight_files.write_pth(tmp_path / "b.pth", arrays())
    assert list(torch_files.read(again)) == list(arrays())
