"""Files damaged at random, the same way each time."""

import numpy as np


def mutated(content, seed):
    """Bytes with one to eight of them changed, cut off, doubled or overwritten by a run."""
    generator = np.random.default_rng(seed)
    changed = np.frombuffer(content, np.uint8).copy()
    start = int(generator.integers(0, len(changed)))
    way = generator.integers(0, 4)
    if way == 0:
        places = generator.integers(0, len(changed), generator.integers(1, 9))
        changed[places] = generator.integers(0, 256, len(places))
    elif way == 1:
        changed = changed[:start]
    elif way == 2:
        changed = np.concatenate([changed[: start + 8], changed[start:]])
    else:
        changed[start : start + 16] = generator.choice(np.array([0, 127, 255], np.uint8))
    return changed.tobytes()
