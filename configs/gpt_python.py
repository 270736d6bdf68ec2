"""GPT on the sources and help texts of Python's standard library, byte by byte.

Command: jaxssl pretrain gpt_python --out runs/gpt
On an accelerator, a wider encoder: add --encoder.width 512 --encoder.depth 8 --encoder.num-heads 8
Result: see docs/results.md; some 6 minutes on two CPU cores.
Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners. Changed for
minutes of CPU and for text that every machine has: bytes instead of byte pairs, windows of 128,
four blocks of width 128.
"""

from jaxssl import data, models
from jaxssl.methods.gpt import GPT
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=GPT(),
        encoder=models.TextTransformerConfig(causal=True),
        data=data.TextData(path="python"),
        optimizer=OptimizerConfig(base_learning_rate=4e-3, weight_decay=0.05, warmup_epochs=0.1),
        training=TrainingConfig(batch_size=64, epochs=1),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
