"""BERT: which tokens of the text are hidden?"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, models, vocabulary
from jaxssl.methods.shared import assembly, functional, language
from jaxssl.models import text
from jaxssl.pretext import tokens as pretext
from jaxssl.types import Array, Example, Exhibit, Method, PyTree, Views

NUM_GUESSES = 5


@dataclasses.dataclass(frozen=True)
class BERT:
    """Masked language modelling: a bidirectional encoder names the tokens that it does not see.

    15 % of the tokens are asked for. Of these, 80 % are replaced by the mask, 10 % by any token,
    10 % stay (``pretext.tokens``). The value of an example is the mean cross-entropy over the
    tokens asked for. Differs from the paper: no second sentence to tell from a random one (RoBERTa
    found it to be of no use), windows of running text, masks drawn anew whenever a window is seen.

    Attributes:
        mask_ratio: part of the tokens that are asked for.
        whole_words: hide words whole, of vocabularies of bytes only.

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2018,
        arXiv:1810.04805, sec. 3.1; Liu et al., RoBERTa, 2019, arXiv:1907.11692, sec. 4.1 (masks
        drawn anew) and 4.2 (no next sentence).
    """

    mask_ratio: float = 0.15
    whole_words: bool = False

    def __post_init__(self):
        checks.in_range(self, 0, 1, "mask_ratio", open_left=True, open_right=True)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: no transformer of text, or a causal one.
        """
        del axis_name  # nothing here depends on other devices
        language.check_encoder(encoder, causal=False, method="BERT")
        config = encoder.config
        head = text.TokenHead(config.dtype)

        def view(key: Array, example: Example) -> Views:
            masked = pretext.mask_tokens(
                key,
                example["tokens"],
                vocabulary=config.vocabulary,
                ratio=self.mask_ratio,
                whole_words=self.whole_words,
            )
            return masked._asdict()

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, head_key = jax.random.split(key)
            params, state = functional.init(encoder, encoder_key, views["seen"])
            rows = jnp.zeros((*views["positions"].shape, config.width))
            head_params, _ = functional.init(head, head_key, rows, params["token_embedding"])
            return {"encoder": params, "head": head_params}, {"encoder": state}

        def loss(params, state, views, key, clock):
            del key, clock
            scores = _scores(encoder, head, params, state, views)
            values, metrics = language.values_and_metrics(scores, views["labels"], views["weights"])
            return values, (state, metrics)

        show = functools.partial(_show, encoder, head)
        return assembly.assemble(view, init, loss, inputs=language.inputs, show=show)


def _scores(
    encoder: nn.Module, head: nn.Module, params: PyTree, state: PyTree, views: Views
) -> Array:
    """Scores of every token at the positions asked for, float32 [B, K, M]."""
    variables = functional.encoder_variables(params, state)
    rows = encoder.apply(variables, views["seen"]).tokens  # type: ignore[union-attr]
    asked = models.gather_rows(rows, views["positions"])
    return head.apply({"params": params["head"]}, asked, params["encoder"]["token_embedding"])  # type: ignore[return-value]


def _show(
    encoder: nn.Module, head: nn.Module, params: PyTree, state: PyTree, views: Views
) -> list[Exhibit]:
    """What is read, and of what is asked for: the answer, and the guesses, the likeliest first.

    Returns:
        Titles and tokens: int32 [B, L], [B, K, 1] and [B, K, 5]; where a place only fills the
        shape, the separator.
    """
    scores = _scores(encoder, head, params, state, views)
    pieces = scores[..., : -vocabulary.NUM_SPECIAL]
    guesses = jax.lax.top_k(pieces, min(NUM_GUESSES, pieces.shape[-1]))[1]
    blank = vocabulary.separator(scores.shape[-1])
    is_asked = views["weights"][..., None] > 0
    return [
        ("what the encoder reads", views["seen"]),
        ("what was hidden", jnp.where(is_asked, views["labels"][..., None], blank)),
        ("the network's guesses", jnp.where(is_asked, guesses, blank)),
    ]
