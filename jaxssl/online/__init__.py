"""Probes that watch an encoder while it learns: they see labels, the encoder never sees them."""

from jaxssl.online.judged import Judged
from jaxssl.online.watcher import PREFIX, ProbeWatcher

__all__ = ["PREFIX", "Judged", "ProbeWatcher"]
