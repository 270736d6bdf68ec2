"""Published weights by a name: timm:NAME, hf:OWNER/NAME, torchvision:NAME.

They are downloaded once: the first two from the Hugging Face Hub into its own cache, the last from
PyTorch's server into jaxssl's.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from jaxssl import words
from jaxssl.data import known

TIMEOUT_S = 30  # without a byte
_HUB, _PYTORCH = "https://huggingface.co", "https://download.pytorch.org/models"
_OWNERS = {"timm": "timm/", "hf": ""}
_BESIDE = ("config.json", "preprocessor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# By torchvision's names, IMAGENET1K_V1 and _V2; the end of a name begins the file's sha256.
_TORCHVISION = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet50-v2": "resnet50-11ad3fa6.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet101-v2": "resnet101-cd907fc2.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "resnet152-v2": "resnet152-f82ba261.pth",
}


def is_name(source: str | os.PathLike) -> bool:
    """Whether weights are given by such a name, not by a path; a file that is there is a path."""
    prefix, colon, _ = str(source).partition(":")
    return bool(colon) and prefix in (*_OWNERS, "torchvision") and not Path(source).exists()


def locate(source: str | os.PathLike) -> Path:
    """The file of weights of a name, downloaded where it is not yet here; a path as it is.

    Args:
        source: "timm:resnet50.a1_in1k", "hf:facebook/dino-vits16", "torchvision:resnet50" (or
            "resnet50-v2", its newer weights); or the path of a file.

    Raises:
        ImportError: a name of the Hub without the package huggingface_hub.
        FileNotFoundError: no such weights, or out of reach; both say which file to fetch by hand.
    """
    if not is_name(source):
        return Path(source)
    prefix, _, name = str(source).partition(":")
    if prefix == "torchvision":
        return _from_pytorch(str(source), name)
    return _from_hub(str(source), _OWNERS[prefix] + name)


def _from_hub(source: str, repository: str) -> Path:
    by_hand = (
        f"fetch {_HUB}/{repository}/resolve/main/{_WEIGHTS[0]}, and {_BESIDE[0]} beside it, and "
        "give the file's path"
    )
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ImportError(
            f"{source}: needs the package huggingface_hub to be downloaded; got none. "
            f'pip install "jaxssl[hub]"; or {by_hand}.'
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    unreached = None
    # First what lies beside: weights that are in the cache have all there is with them.
    for file in (*_BESIDE, *_WEIGHTS):
        try:
            found = hf_hub_download(repository, file, local_files_only=unreached is not None)
        except LocalEntryNotFoundError as error:  # what is in the cache may still do
            unreached = unreached or error
        except EntryNotFoundError:
            continue
        except Exception as error:  # whatever the network and its libraries have
            raise _out_of_reach(source, error, by_hand) from error
        else:
            if file in _WEIGHTS:
                return Path(found)
    missing = FileNotFoundError(f"neither {' nor '.join(_WEIGHTS)} in it")
    raise _out_of_reach(source, unreached or missing, by_hand) from unreached


def _from_pytorch(source: str, name: str) -> Path:
    if name not in _TORCHVISION:
        raise FileNotFoundError(
            f"{source}: must be one of {', '.join(_TORCHVISION)} behind torchvision:; got {name!r}."
            f"{words.nearest(name, _TORCHVISION)}"
        )
    file = _TORCHVISION[name]
    target = known.cache_directory() / "weights" / file
    if target.is_file():
        return target
    url = f"{_PYTORCH}/{file}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / file
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, part.open("wb") as to:
                shutil.copyfileobj(response, to)
            with part.open("rb") as written:
                sha256 = hashlib.file_digest(written, "sha256").hexdigest()
            if not sha256.startswith(part.stem.rpartition("-")[2]):
                raise OSError(f"a file of sha256 {sha256}")
            part.rename(target)
    except OSError as error:  # URLError and timeouts are OSErrors
        raise _out_of_reach(source, error, f"fetch {url} and give its path") from error
    return target


def _out_of_reach(source: str, error: Exception, by_hand: str) -> FileNotFoundError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
    fix = by_hand[0].upper() + by_hand[1:]
    return FileNotFoundError(f"{source}: must be within reach; got: {said}. {fix}.")
