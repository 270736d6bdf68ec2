"""The benchmark of an accelerator, all of it, tiny and on a CPU."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "accelerator.py"
STEPS = ("mae_b16", "mae_l16", "dino_s16", "simclr_r50")


@pytest.mark.slow
def test_every_case_is_measured(tmp_path):
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, SCRIPT, "--out", tmp_path, "--tiny"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    results = json.loads((tmp_path / "accelerator.json").read_text())
    table = (tmp_path / "accelerator.md").read_text()
    for case in STEPS:
        found = results[case]
        assert found["images_per_second"] > 0 < found["jpegs_per_second"]
        assert found["flop_per_image"] > 0 < found["mfu_measured"]
        assert f"\n| {case} | 4 | " in table
    for case in ("nt_xent_65536", "nt_xent_1048576"):
        assert results[case]["seconds"] > 0
        assert f"\n| {case} | 0." in table
    for case in ("torch_mae_b16", "torch_mae_l16"):
        assert "variants" in results[case] or f"{case} (torch is not importable)" in table


def test_a_case_without_time_or_that_fails_is_named(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    accelerator = importlib.import_module("accelerator")
    late = accelerator.in_own_process("rate", tmp_path, 0)
    monkeypatch.setattr(accelerator.sys, "executable", "false")
    failed = accelerator.in_own_process("mae_b16", tmp_path, 60)
    assert accelerator.table({"rate": late, "mae_b16": failed}).endswith(
        "Left out: rate (no time left), mae_b16 (ended with status 1; see above).\n"
    )
