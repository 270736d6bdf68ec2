"""BERT on the sources and help texts of Python's standard library, byte by byte.

Command: jaxssl pretrain bert_python --out runs/bert
On an accelerator, a wider encoder: add --encoder.width 512 --encoder.depth 8 --encoder.num-heads 8
Result: see docs/results.md; some 6 minutes on two CPU cores.
Source: Devlin et al. 2018 (arXiv 1810.04805). Changed for minutes of CPU and for text that every
machine has: bytes instead of word pieces, windows of 128, four blocks of width 128, a rate ten
times as high for a network a hundred times smaller.
"""

from jaxssl import data, models
from jaxssl.methods.bert import BERT
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BERT(),
        encoder=models.TextTransformerConfig(),
        data=data.TextData(path="python"),
        optimizer=OptimizerConfig(base_learning_rate=4e-3, weight_decay=0.05, warmup_epochs=0.1),
        training=TrainingConfig(batch_size=64, epochs=1),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
