"""From a method's functions to a ``types.Method``, with what most methods have in common."""

from collections.abc import Callable
from typing import Any

from jaxssl.augment import policies
from jaxssl.methods.shared import functional
from jaxssl.types import (
    Array,
    Clock,
    Example,
    Method,
    Metrics,
    PyTree,
    Views,
)

_NO_KEY: Any = None  # of what draws nothing


def assemble(
    view: Callable[[Array, Example], Views],
    init: Callable[[Array, Views], tuple[PyTree, PyTree]],
    loss: Callable[[PyTree, PyTree, Views, Array, Clock], tuple[Array, tuple[PyTree, Metrics]]],
    *,
    size: int | None = None,
    **others: Any,
) -> Method:
    """The ``types.Method`` whose encoder is evaluated on whole examples.

    Args:
        view: see ``types.Method``, as for all that follow.
        init: of parameters and state.
        loss: of a batch of views.
        size: side in pixels that evaluation resizes images to; see ``resize_image``. None where
            ``inputs`` is among the others.
        **others: further fields of the method. ``advance`` may be left out or None where the state
            changes in the loss alone, and ``encoder`` where it is what lies under "encoder" in
            params and state; ``answer`` is there with ``ask`` and only with it.
    """
    others["advance"] = others.get("advance") or _keep_state
    others.setdefault("encoder", functional.encoder_variables)
    if size is not None:
        others["inputs"] = resize_image(size)
    return Method(view=view, init=init, loss=loss, **others)


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
        return {"image": resize(_NO_KEY, image)}

    return inputs


def _keep_state(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
    del params, clock
    return state
