"""What devices can do, and what they say of their memory."""

import types

import jax
import pytest

from jaxssl.training import speed


def devices(monkeypatch, kind, *held):
    made = [
        types.SimpleNamespace(
            device_kind=kind,
            memory_stats=lambda each=each: each and {"peak_bytes_in_use": each, "bytes_limit": 9},
        )
        for each in held
    ]
    monkeypatch.setattr(jax, "devices", lambda: made)
    monkeypatch.setattr(jax, "local_devices", lambda: made)
    monkeypatch.setattr(jax, "device_count", lambda: len(made))


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 125),
        ("NVIDIA L40S", 362),
        ("Tesla T4", 65),
        ("TPU v5 lite", 197),
        ("TPU v5p", 459),
        ("TPU v6 lite", 918),
    ],
)
def test_makers_state_what_a_device_can_do(kind, teraflops, monkeypatch):
    devices(monkeypatch, kind, 1, 1)
    assert speed.peak_flops() == 2e12 * teraflops


def test_of_other_devices_it_is_known_when_it_is_given(monkeypatch):
    devices(monkeypatch, "cpu", None, None)
    assert speed.peak_flops() is None
    assert speed.peak_flops(0.5) == 1e12


def test_memory_is_that_of_the_fullest_device_where_all_say(monkeypatch):
    devices(monkeypatch, "TPU v4", 2_500_000_000, 1_000_000_000)
    assert speed.peak_memory_gb() == 2.5
    devices(monkeypatch, "cpu", 2_500_000_000, None)
    assert speed.peak_memory_gb() is None
