"""A recipe: everything that defines a run, in one frozen dataclass that a config file returns."""

import contextlib
import dataclasses
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, Literal, TypeVar

from jaxssl import checks, words
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import DataConfig, EncoderConfig, MethodConfig

M = TypeVar("M", bound=MethodConfig)
E = TypeVar("E", bound=EncoderConfig)
D = TypeVar("D", bound=DataConfig)


@dataclasses.dataclass(frozen=True)
class Start:
    """What another run has saved, and a new one begins with.

    Attributes:
        run: its directory.
        step: which checkpoint; the newest if left out when the run begins.
        sha256: of its content, found when the run begins; what makes two starts the same.
        probe: file of a linear probe of its pooled features (``evaluation.kept_probe``), which the
            head of a method that reads labels begins with; a head of random weights without it.
        probe_sha256: of that file's content, found when the run begins.
        fit_head: that head begins instead with the linear classifier of the few labelled examples
            that are kept, fitted to the features of the encoder before the first step.
    """

    run: str
    step: int | None = None
    sha256: str = ""
    probe: str = ""
    probe_sha256: str = ""
    fit_head: bool = False


@dataclasses.dataclass(frozen=True)
class Published:
    """Published weights that an encoder begins with.

    Attributes:
        source: a file or a name that is downloaded, as ``interop.load`` takes them.
        sha256: of the file's content, found when the run begins; what makes two the same.
    """

    source: str
    sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Labels:
    """The few examples of a training split that are learned from, with their labels.

    Exactly the rows that ``evaluation.few_label`` draws for the same budget.

    Attributes:
        per_class: how many of each class.
        fraction: which part of each class, in (0, 1), instead.
        draw: the seed of the draw.
    """

    per_class: int | None = None
    fraction: float | None = None
    draw: int = 0

    def __post_init__(self):
        if (self.per_class is None) == (self.fraction is None):
            raise ValueError(
                "Labels: either per_class or fraction must be given; got "
                f"{self.per_class} and {self.fraction}."
            )
        checks.at_least(self, 1, "per_class")
        checks.at_least(self, 0, "draw")
        fix = "0.01 is one per cent."
        checks.in_range(self, 0, 1, "fraction", open_left=True, open_right=True, fix=fix)

    @property
    def budget(self) -> int | float:
        """As ``few_label.draw_rows`` takes it."""
        budget = self.fraction if self.per_class is None else self.per_class
        assert budget is not None
        return budget


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a recipe leaves to the data and the machine, settled once, when a run begins.

    What was found is recorded in its place, so that a run goes on with what it began with.

    Attributes:
        max_batch: ``training.batch_size`` doubles up to this where a step then fits into the memory
            that a device says it has, and an epoch keeps 16 steps; it halves where there are fewer
            images, or less memory. On a CPU, which says nothing of memory, it does not grow. None
            leaves it alone.
        dtype: what the encoder computes in on an accelerator; None leaves it alone.
        grey: whether images of which none holds a colour are read with 1 channel.
        moments: of the encoder's "mean" and "std", those that are measured on the images.
    """

    max_batch: int | None = None
    dtype: Literal["float32", "bfloat16"] | None = None
    grey: bool = False
    moments: tuple[Literal["mean", "std"], ...] = ()

    def __post_init__(self):
        checks.at_least(self, 1, "max_batch")


@dataclasses.dataclass(frozen=True)
class Recipe(Generic[M, E, D]):
    """What to pretrain, on what, and how.

    Attributes:
        method: the self-supervised method and its hyper-parameters.
        encoder: the network that is kept.
        data: the data set; any frozen dataclass that ``open``s a split.
        optimizer: optimizer and learning-rate schedule.
        training: batch size, epochs and seed.
        run: backend, logging and checkpoints; changes no number of the run.
        start: the run whose encoder this one begins with; None begins anew.
        encoder_weights: the published weights that the encoder begins with; not beside ``start``.
        labels: the few labelled examples that are learned from; None takes the whole split.
        tokenizer: the run whose words a method of words names; see ``types.MethodConfig``.
        fit: what is left to the data and the machine; None leaves nothing.
    """

    method: M
    encoder: E
    data: D
    optimizer: OptimizerConfig
    training: TrainingConfig
    run: RunConfig = RunConfig()
    start: Start | None = None
    encoder_weights: Published | None = None
    labels: Labels | None = None
    tokenizer: Start | None = None
    fit: Fit | None = None


class NoRecipeError(FileNotFoundError):
    """No recipe is named, or one that resembles none.

    Attributes:
        listing: the names of the shipped ones in columns, to be shown below the message.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.listing = words.columns(shipped_names())


def load(name: str) -> Recipe:
    """The recipe of a config file.

    Args:
        name: path of a Python file with ``get_config()``, or the name of a shipped one, or how
            the name of a single one begins.

    Returns:
        What its ``get_config()`` returns.

    Raises:
        FileNotFoundError: no such file and no such name (names the nearest, or those that begin so;
            else, as NoRecipeError, all of them).
        ValueError: a file without ``get_config()``, or one that returns something else or raises.
    """
    path = find(name)
    with _blaming(path):
        module = _run(path)
    if not hasattr(module, "get_config"):
        raise ValueError(f"config {path}: must define get_config(); got a file without it.")
    with _blaming(path):
        config = module.get_config()
    if not isinstance(config, Recipe):
        raise ValueError(
            f"config {path}: get_config() must return a jaxssl.Recipe; got {type(config).__name__}."
        )
    return config


def find(name: str) -> Path:
    """The config file of a name; see ``load``.

    Raises:
        FileNotFoundError: as ``load``.
    """
    # Looked for in any case, so that a file of the user's can import what the shipped ones share.
    shipped = {each: shipped_directory() / f"{each}.py" for each in shipped_names()}
    path = shipped.get(name, Path(name))
    if path.is_file():
        return path
    begin_so = [each for each in shipped if name and each.startswith(name)]
    if len(begin_so) == 1:
        return shipped[begin_so[0]]
    must = "config: must be the path of a config file or the name of a shipped one; got"
    if begin_so:
        raise FileNotFoundError(
            f"{must} {name!r}, which several begin with: {', '.join(begin_so)}. Type more of one."
        )
    near = words.nearest(path.stem, shipped)
    if near:
        raise FileNotFoundError(f"{must} {name!r}.{near}")
    raise NoRecipeError(f"{must} {name!r}. The shipped ones:")


def shipped_names() -> list[str]:
    """The names of the shipped recipes, in the order of the alphabet."""
    return sorted(path.stem for path in shipped_directory().glob("[!_]*.py"))


def _run(path: Path) -> types.ModuleType:
    name = f"jaxssl_config_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where the annotations of classes that it defines are looked up
    loader.exec_module(module)
    return module


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turns whatever a config file raises into one ValueError that names the file and the line."""
    try:
        yield
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        if isinstance(error, SyntaxError):
            lines.append(error.lineno)
        place = f"{path}, line {lines[-1]}" if lines else f"{path}"
        raise ValueError(
            f"config {place}: must run as Python; got {type(error).__name__}: {error}"
        ) from error


def shipped_directory() -> Path:
    """Where the shipped config files are: in the wheel, or beside the package in a checkout."""
    return Path(str(_shipped().__file__)).parent


def _shipped() -> types.ModuleType:
    """The package ``jaxssl.recipes``, by which config files import the blocks that they share.

    An installed jaxssl has it; a checkout alone has its files beside the package, and gets its name
    here.
    """
    name = "jaxssl.recipes"
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        configs = Path(__file__).parents[2] / "configs"
        spec = importlib.util.spec_from_file_location(name, configs / "__init__.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(name)
