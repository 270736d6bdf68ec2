"""Types shared by the whole package, and the alphabet of shapes.

Every docstring uses these letters and defines any other where it needs one:

    B   examples on this device          G   examples in the global batch (all devices)
    V   views of one example             N   tokens (patches) of one image
    P   values in one patch              D   features
    K   classes, or kept tokens          M   prototypes
    H W C   height, width, channels      T   frames
    L   tokens of one text

Images are ``[H, W, C]``: uint8 in [0, 255] between the disk and the device, float32 in [0, 1]
after that. Encoders subtract ``mean`` and divide by ``std`` themselves.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import jax
from jax import export

Array = jax.Array
PyTree = Any
# ONE: {"image": [H, W, C]}, {"video": [T, H, W, C]} or {"tokens": [L]}, and "index", int32, its row
# in the source that it was read from; no label. "image" may be a ``cropping.Crops`` of it.
Example = Mapping[str, Array]
Batch = Mapping[str, Array]  # the same with a leading B axis; may carry "label", mostly stripped
Views = PyTree  # what a method's view() makes of one example
Metrics = dict[str, Array]  # scalars, float32, equal on all devices
Picture = tuple[str, Array]  # a title and images [B, H, W, C], float32 in [0, 1]
Exhibit = tuple[str, Array]  # a picture, or a title and tokens, int32 [B, N] or [B, K, N]: K texts


class Question(NamedTuple):
    """What a pretext task that is a choice asks of a batch of views.

    Attributes:
        inputs: [B, V, H, W, C], the images that the network is shown, V for each question.
        answers: int32 [B], the right choices.
        num_answers: how many choices there are.
    """

    inputs: Array
    answers: Array
    num_answers: int


class Features(NamedTuple):
    """What every encoder returns.

    Attributes:
        pooled: [B, D], one vector per image, what evaluation reads by default.
        tokens: [B, N, D], patch tokens or spatial cells in raster order, without class and
            register tokens.
        stages: pooled output after each stage (ResNet, ConvNeXt) or block (ViT), each [B, D_stage],
            for probes at every depth.
        maps: what ``stages`` pools: the map after each stage, [B, h, w, D_stage], or a ViT's patch
            tokens after each block before the final norm; with ``keep``, [B, K, D]. Compilers drop
            what is not used.
        class_tokens: of a ViT with a class token, that token after each block, [B, D], through the
            final norm; else empty.
    """

    pooled: Array
    tokens: Array
    stages: tuple[Array, ...]
    maps: tuple[Array, ...] = ()
    class_tokens: tuple[Array, ...] = ()


# An exported encoder that returns them can be written to a file, and read where jaxssl is imported.
export.register_namedtuple_serialization(Features, serialized_name="jaxssl.types.Features")


class Clock(NamedTuple):
    """When in a run a step is; what schedules are functions of.

    Attributes:
        step: int32 scalar, optimizer steps completed before this one.
        epoch: float32 scalar, passes over the training split completed before it.
        progress: float32 scalar in [0, 1), the part of the run completed before it.
    """

    step: Array
    epoch: Array
    progress: Array


class Plan(NamedTuple):
    """How a run is divided into steps; computed once from its recipe and its data.

    Attributes:
        batch_size: G, examples of the global batch.
        steps_per_epoch: optimizer steps of one pass over the training split.
        total_steps: optimizer steps of the whole run.
        freezes: whether the method freezes parameters (``Method.frozen``), which an optimizer must
            know.
    """

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    freezes: bool = False


class Embeddings(NamedTuple):
    """What a method compares between views, for watching whether it collapses.

    Attributes:
        first: [B, D], of one view of each example, as the loss sees it.
        second: [B, D] of another view of the same examples, or None.
        assignments: [B, M], probabilities over prototypes, rows that sum to 1, or None.
    """

    first: Array
    second: Array | None = None
    assignments: Array | None = None


class Method(NamedTuple):
    """A method of learning: pure functions, hyper-parameters and axis name already bound.

    Attributes:
        view: ``(key, example) -> views`` of ONE example; the trainer vmaps it. All randomness that
            belongs to an example is spent here, so that it depends on neither batch nor devices.
        init: ``(key, views) -> (params, state)`` from a batch of views. ``params["encoder"]`` holds
            the encoder's parameters.
        loss: ``(params, state, views, key, clock) -> (values, (state, metrics))``. ``values`` is
            [B], one per local example, or a scalar equal on all devices; ``state`` comes back equal
            on all devices, ``metrics`` are averaged. ``key`` is the same on every device.
        advance: ``(params, state, clock) -> state`` after the optimizer (EMA target, prototypes);
            params are the new ones.
        encoder: ``(params, state) -> variables``, exactly what evaluation restores.
        inputs: ``(example) -> {name: array}`` of ONE example, without randomness: what the encoder
            is fed in evaluation, as positional arguments in this order; names are columns of a data
            set. Methods of images give {"image": [S, S, C]}, float32 in [0, 1].
        frozen: ``(params, clock) -> tree of booleans`` like params, True where the optimizer must
            leave a parameter alone at this step (weight decay, moments and count of steps
            included); None: nowhere.
        embed: ``(params, state, views) -> Embeddings`` of the local batch, in training mode and
            without a new state; None where no views are compared.
        show: ``(params, state, views) -> [Exhibit]``, pictures or texts of the same B examples:
            what the task looks like and what the network answered, for reports; None: the views
            alone.
        ask: ``(views) -> Question`` where the task is a choice, for audits; else None.
        answer: ``(params, state, views) -> logits``, [B, num_answers] float32: the network's scores
            of the choices in evaluation mode; None exactly where ``ask`` is.
        project: ``(params) -> params`` after the optimizer, into the set where they must lie, as a
            number with a bound; None: anywhere.
        reads_label: whether ``view`` is shown the data set's "label", int32 in [0, K), too, which
            no self-supervised method is. Its config says the same; see ``MethodConfig``.
    """

    view: Callable[[Array, Example], Views]
    init: Callable[[Array, Views], tuple[PyTree, PyTree]]
    loss: Callable[[PyTree, PyTree, Views, Array, Clock], tuple[Array, tuple[PyTree, Metrics]]]
    advance: Callable[[PyTree, PyTree, Clock], PyTree]
    encoder: Callable[[PyTree, PyTree], PyTree]
    inputs: Callable[[Example], dict[str, Array]]
    frozen: Callable[[PyTree, Clock], PyTree] | None = None
    embed: Callable[[PyTree, PyTree, Views], Embeddings] | None = None
    show: Callable[[PyTree, PyTree, Views], list[Exhibit]] | None = None
    ask: Callable[[Views], Question] | None = None
    answer: Callable[[PyTree, PyTree, Views], Array] | None = None
    project: Callable[[PyTree], PyTree] | None = None
    reads_label: bool = False


class EncoderConfig(Protocol):
    """The frozen dataclass that describes an encoder, such as ``models.ViTConfig``.

    Its linen module is called with the arrays of ``Method.inputs``, and ``train``; it returns
    Features, and holds the config as ``config``.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def build(self, *, axis_name: str | None = None) -> Any:
        """The linen module, whose batch statistics are those of all devices of the axis."""


class MethodConfig(Protocol):
    """The frozen dataclass of hyper-parameters that each file in ``methods/`` has one of.

    Where it needs to know the data set (class priors, cluster centres, a memory of every image), it
    has ``prepare`` too:

    ``prepare(num_examples, sample) -> config``: a copy whose fields hold what depends on the data
    set. ``num_examples`` is the size of the training split; ``sample()`` reads uint8 images
    [N, H, W, C], up to 5,000 or ``sample(count)``, spread evenly over it, and is called only where
    images are wanted. It is asked once, before a run begins; checkpoints record the answer.

    Labels of the data set reach a method whose class says ``READS_LABEL = True``, a ClassVar, and
    no other: neither its batches hold any, nor its views. It has ``with_classes(names) -> config``
    too, which is given one name per class before a run begins, and
    ``with_classifier(params, state, kernel, bias) -> (params, state)``, which puts a linear
    classifier, float32 [D, K] and [K], in the place of the head that ``Method.init`` made; it
    classifies ``read_features(features)``, [B, D] of what an encoder returns.

    One that names the words of another run's tokenizer (``Recipe.tokenizer``) has
    ``with_tokenizer(method, encoder) -> config``: a copy that holds the configs of that run, or a
    ValueError if it has no words. The state of its method has an entry "tokenizer" of the form of
    that run's parameters, which stand there before the first step; no step changes it.

    Where the host makes the crops (``data.ImageData.crops``), the "image" of an example is a
    ``cropping.Crops``, which the augmentation under the field ``augment`` takes in place of an
    image. A method whose ``view`` reads an image in another way too says ``WHOLE_IMAGE = True``, a
    ClassVar, and gets whole images.

    Fields beside the sizes of its views that are lengths in pixels are named in a ClassVar
    ``PIXELS``; the command line changes them with the size of the images.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def build(self, encoder: Any, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters, a linen encoder and the axis name into a Method."""


class DataConfig(Protocol):
    """The frozen dataclass that says which data set a run reads, such as ``data.ImageData``.

    Attributes:
        train_split: split that pretraining learns from.
        test_split: split that evaluation measures on.
        num_threads: threads that decode; changes no number of a run.
        unit: what an example is called, in the plural, such as "images".
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def train_split(self) -> str:
        """Split that pretraining learns from."""

    @property
    def test_split(self) -> str:
        """Split that evaluation measures on."""

    @property
    def num_threads(self) -> int:
        """Threads that decode."""

    @property
    def unit(self) -> str:
        """What an example is called, in the plural."""

    def open(self, split: str) -> Any:
        """One split as a ``data.Source``."""

    def matching(self, inputs: Sequence[Any]) -> Self:
        """The same data in the shape that an encoder is fed, by its inputs' names and shapes."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run changes, and all that a resume needs.

    Attributes:
        step: int32 scalar, optimizer steps completed.
        params: trainable parameters; ``params["encoder"]`` is the encoder.
        state: what the method keeps beside them (batch statistics, EMA target, queue …).
        opt_state: the optimizer's state.
    """

    step: Array
    params: PyTree
    state: PyTree
    opt_state: PyTree
