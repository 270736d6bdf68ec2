"""GPT: which token comes next?"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import vocabulary
from jaxssl.methods.shared import assembly, functional, language
from jaxssl.models import text
from jaxssl.pretext import tokens as pretext
from jaxssl.types import Array, Example, Exhibit, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class GPT:
    """Language modelling: a causal encoder names every token from those before it.

        value = mean over n of cross_entropy(scores(t_0 … t_{n-1}), t_n)

    The encoder reads the separator and all tokens but the last, so that every token of a window is
    priced, the first too. Differs from GPT-2: no dropout; windows do not overlap, so that their
    first tokens have little to be told from.

    Source: Radford et al., Improving Language Understanding by Generative Pre-Training, 2018, eq. 1
        and 2; Language Models are Unsupervised Multitask Learners, 2019.
    """

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the encoder; see ``types.Method``.

        Raises:
            ValueError: no transformer of text, or one that sees what comes next.
        """
        del axis_name  # nothing here depends on other devices
        language.check_encoder(encoder, causal=True, method="GPT")
        size = encoder.config.vocabulary

        def view(key: Array, example: Example) -> Views:
            del key  # the task has no chance in it
            seen, labels = pretext.next_token(example["tokens"], vocabulary=size)
            return {"seen": seen, "labels": labels}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            params, state = functional.init(encoder, key, views["seen"])
            return {"encoder": params}, {"encoder": state}

        def loss(params, state, views, key, clock):
            del key, clock
            scores = _scores(encoder, params, state, views["seen"])
            values, metrics = language.values_and_metrics(scores, views["labels"])
            return values, (state, metrics)

        show = functools.partial(_show, encoder)
        return assembly.assemble(view, init, loss, inputs=language.inputs, show=show)


def _scores(encoder: nn.Module, params: PyTree, state: PyTree, seen: Array) -> Array:
    """Scores of the token that comes next, at every place; float32 [B, L, M]."""
    rows = encoder.apply(functional.encoder_variables(params, state), seen).tokens  # type: ignore[union-attr]
    table = params["encoder"]["token_embedding"]
    return text.tied_logits(rows, table)


def _show(encoder: nn.Module, params: PyTree, state: PyTree, views: Views) -> list[Exhibit]:
    """The first half of each window, its true end, and two of the network's own.

    Returns:
        Titles and tokens, int32 [B, N]: one end takes the likeliest token every time, the other
        draws tokens as likely as they are.
    """
    labels = views["labels"]
    start = labels.shape[1] // 2

    def continued(pick) -> Array:
        def add(place: Array, seen: Array) -> Array:
            scores = _scores(encoder, params, state, seen)[:, place - 1]
            return seen.at[:, place].set(pick(scores[:, : -vocabulary.NUM_SPECIAL], place))

        # ``seen`` begins with the separator: token n of the text stands at n + 1.
        return jax.lax.fori_loop(start + 1, labels.shape[1], add, views["seen"])[:, start + 1 :]

    def likeliest(scores: Array, place: Array) -> Array:
        del place
        return scores.argmax(-1).astype(jnp.int32)

    def drawn(scores: Array, place: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), place)
        return jax.random.categorical(key, scores).astype(jnp.int32)

    return [
        ("how a window begins", labels[:, :start]),
        ("how it goes on", labels[:, start:-1]),
        ("as the likeliest token each time", continued(likeliest)),
        ("as tokens drawn by their probability", continued(drawn)),
    ]
