"""What stands behind a number: the protocol that a result file carries, and its stamp."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def stamp(protocol: Mapping) -> str:
    """Sixteen hexadecimal digits that change with any entry of a protocol.

    Two accuracies may be compared where their stamps agree; what differs between them (the encoder,
    its checkpoint) stands outside the protocol.
    """
    canonical = json.dumps(protocol, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def write(
    path: str | os.PathLike, *, protocol: Mapping, subject: Mapping, results: Mapping
) -> dict:
    """Writes one result file, whole or not at all.

    Args:
        path: the file.
        protocol: everything that must agree for two results to be comparable.
        subject: what was measured: encoder, checkpoint, versions.
        results: the numbers.

    Returns:
        What was written: protocol, its stamp, subject and results.
    """
    record = {
        "stamp": stamp(protocol),
        "protocol": dict(protocol),
        "subject": dict(subject),
        "results": dict(results),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.rename(path)
    return record
