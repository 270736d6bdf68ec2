"""The training step as an accelerator gets it, looked at in StableHLO: nothing is run."""

import collections
import re

import jax
import pytest
import shipped

TENSOR = re.compile(r"tensor<([^>]*)>")
LOCATION = re.compile(r'^(#loc\d+) = loc\("([^"]*)"', re.MULTILINE)
OPERATION = re.compile(
    r"stablehlo\.(dot_general|transpose)\b.*: (\(.*\) -> \S+) loc\((#loc\d+)\)$", re.MULTILINE
)
TINY = {"width": 32, "depth": 1, "num_heads": 4, "dtype": "bfloat16"}


def operations(name):
    """Products and transposes of a step for CUDA: name, operands and result, where from."""
    job = shipped.job(name, batch_size=8, **TINY)
    rows = jax.tree.map(
        lambda value: jax.ShapeDtypeStruct((8, *value.shape[1:]), value.dtype), job.example
    )
    lowered = jax.jit(job.step).trace(job.like, rows).lower(lowering_platforms=("cuda",))
    text = lowered.as_text(debug_info=True)
    places = dict(LOCATION.findall(text))
    for kind, types, place in OPERATION.findall(text):
        yield kind, TENSOR.findall(types), places[place]


@pytest.mark.parametrize("name", ["mae_fashion_mnist", "dino_vit_fashion_mnist"])
def test_a_step_in_bfloat16_multiplies_in_bfloat16(name):
    """Views are made in float32, and so is DINO's loss, which is a product."""
    wide, num_narrow, heads = [], 0, collections.Counter()
    for kind, (*operands, _), place in operations(name):
        if "/attention/b" in place and operands[0].count("x") == 4:  # of all heads at once
            heads[kind] += 1
            makes_scores = "/bqhd,bkhd->bhqk/" in place and "transpose(" not in place
            heads["scores"] += kind == "dot_general" and makes_scores
        if kind == "transpose" or "/vmap(" in place or "bum,bvm->buv" in place:
            continue
        is_narrow = all(operand.endswith("xbf16") for operand in operands)
        num_narrow += is_narrow
        wide += [] if is_narrow else [(place, operands)]
    assert not wide
    assert num_narrow > 30
    # Each result of attention's products but the scores is brought into order once.
    assert heads["transpose"] == heads["dot_general"] - heads["scores"] > 0, heads
