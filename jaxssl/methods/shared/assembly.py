"""From a method's functions to a ``types.Method``, with what most methods have in common."""

from collections.abc import Callable

from jaxssl.augment import policies
from jaxssl.methods.shared import functional
from jaxssl.types import (
    Array,
    Clock,
    Embeddings,
    Example,
    Method,
    Metrics,
    Picture,
    PyTree,
    Question,
    Views,
)


def assemble(
    view: Callable[[Array, Example], Views],
    init: Callable[[Array, Views], tuple[PyTree, PyTree]],
    loss: Callable[[PyTree, PyTree, Views, Array, Clock], tuple[Array, tuple[PyTree, Metrics]]],
    *,
    size: int,
    advance: Callable[[PyTree, PyTree, Clock], PyTree] | None = None,
    encoder: Callable[[PyTree, PyTree], PyTree] = functional.encoder_variables,
    frozen: Callable[[PyTree, Clock], PyTree] | None = None,
    embed: Callable[[PyTree, PyTree, Views], Embeddings] | None = None,
    show: Callable[[PyTree, PyTree, Views], list[Picture]] | None = None,
    ask: Callable[[Views], Question] | None = None,
    answer: Callable[[PyTree, PyTree, Views], Array] | None = None,
) -> Method:
    """The ``types.Method`` whose encoder is evaluated on whole images.

    Args:
        view: see ``types.Method``, as for all that follow.
        init: of parameters and state.
        loss: of a batch of views.
        size: side in pixels that evaluation resizes images to; see ``resize_image``.
        advance: None where the state changes in the loss alone.
        encoder: by default what lies under "encoder" in params and state.
        frozen: None where no parameter is ever frozen.
        embed: None where no views are compared.
        show: None where a report shows the views alone.
        ask: None where the task is no choice between answers.
        answer: there with ``ask`` and only with it.

    Returns:
        The method.
    """
    return Method(
        view=view,
        init=init,
        loss=loss,
        advance=_keep_state if advance is None else advance,
        encoder=encoder,
        inputs=resize_image(size),
        frozen=frozen,
        embed=embed,
        show=show,
        ask=ask,
        answer=answer,
    )


def resize_image(size: int) -> Callable[[Example], dict[str, Array]]:
    """``Method.inputs`` of encoders of images: the whole image, or a clip's first frame, resized.

    Args:
        size: S, side in pixels.

    Returns:
        A function of one example, {"image": [H, W, C]} or {"video": [T, H, W, C]}, that gives
        {"image": float32 [S, S, C] in [0, 1]}.
    """
    resize = policies.Resize(size)

    def inputs(example: Example) -> dict[str, Array]:
        image = example["image"] if "image" in example else example["video"][0]
        return {"image": resize(None, image)}

    return inputs


def _keep_state(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
    del params, clock
    return state
