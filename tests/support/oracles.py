"""Expected values: loops in float64 NumPy, written from the papers, sharing no code with jaxssl."""

import math

import numpy as np

# --- Losses: loops over the published formulas -------------------------------------------------


def info_nce(query, positive, *, negatives=None, temperature):
    """van den Oord 2018 eq. 4 / He 2019 eq. 1, one value per query."""
    query, positive = _unit(query), _unit(positive)
    values = []
    for i in range(len(query)):
        own = math.exp(_dot(query[i], positive[i]) / temperature)
        total = own
        if negatives is None:
            for j in range(len(positive)):
                if j != i:
                    total += math.exp(_dot(query[i], positive[j]) / temperature)
        else:
            for negative in _unit(negatives):
                total += math.exp(_dot(query[i], negative) / temperature)
        values.append(-math.log(own / total))
    return np.array(values)


def copy_values(targets, references, values, *, temperature):
    """Vondrick 2018 eq. 1 and 2: what each target copies from the references, [B, N, C]."""
    targets, references, values = (x.astype(np.float64) for x in (targets, references, values))
    copied = np.zeros((*targets.shape[:2], values.shape[-1]))
    for b in range(len(targets)):
        for j in range(targets.shape[1]):
            weights = [
                math.exp(_dot(references[b, i], targets[b, j]) / temperature)
                for i in range(references.shape[1])
            ]
            for i, weight in enumerate(weights):
                copied[b, j] += weight / sum(weights) * values[b, i]
    return copied


def copy_cross_entropy(targets, references, target_labels, reference_labels, *, temperature, floor):
    """Vondrick 2018 eq. 3, [B, N]; -log(floor) where no reference has the target's label."""
    one_hot = np.eye(1 + max(target_labels.max(), reference_labels.max()))[reference_labels]
    y = copy_values(targets, references, one_hot, temperature=temperature)
    losses = np.zeros(target_labels.shape)
    for b, j in np.ndindex(*target_labels.shape):
        own = y[b, j, target_labels[b, j]]
        losses[b, j] = -math.log(floor if own == 0 else own)
    return losses


def nt_xent(view_a, view_b, *, temperature):
    """Chen 2020 eq. 1, mean of both directions of each pair."""
    rows = _unit(view_a) + _unit(view_b)
    count = len(view_a)

    def one_direction(i, j):
        total = 0.0
        for k in range(2 * count):
            if k != i:
                total += math.exp(_dot(rows[i], rows[k]) / temperature)
        return -math.log(math.exp(_dot(rows[i], rows[j]) / temperature) / total)

    return np.array(
        [(one_direction(i, i + count) + one_direction(i + count, i)) / 2 for i in range(count)]
    )


def siglip(image, text, *, temperature, bias):
    """Zhai 2023 section 3.2 with the sign that algorithm 1 gives the bias, one value per image."""
    image, text = _unit(image), _unit(text)
    values = []
    for i in range(len(image)):
        total = 0.0
        for j in range(len(text)):
            sign = 1 if i == j else -1
            total += math.log1p(math.exp(-sign * (_dot(image[i], text[j]) / temperature + bias)))
        values.append(total)
    return np.array(values)


def masked_mse(prediction, target, mask):
    """He 2021 section 3, each example by itself."""
    values = []
    for b in range(prediction.shape[0]):
        total, count = 0.0, 0
        for n in range(prediction.shape[1]):
            if mask[b, n]:
                count += 1
                for p in range(prediction.shape[2]):
                    error = float(prediction[b, n, p]) - float(target[b, n, p])
                    total += error * error / prediction.shape[2]
        values.append(total / count if count else 0.0)
    return np.array(values)


def normalize_patches(patches, *, epsilon):
    """He 2021 section 3 with the sample variance, patches [N, P]."""
    result = np.zeros(patches.shape)
    for n, patch in enumerate(patches):
        values = [float(value) for value in patch]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        for p, value in enumerate(values):
            result[n, p] = (value - mean) / math.sqrt(variance + epsilon)
    return result


def cross_entropy(logits, labels, *, label_smoothing):
    """Szegedy 2015 section 7, logits [B, K]."""
    values = []
    for row, label in zip(logits, labels, strict=True):
        total = math.fsum(math.exp(value) for value in row)
        value = 0.0
        for k, logit in enumerate(row):
            target = label_smoothing / len(row) + (1 - label_smoothing) * (k == label)
            value -= target * math.log(math.exp(logit) / total)
        values.append(value)
    return np.array(values)


def soft_cross_entropy(logits, targets):
    """Zhang 2016 eq. 2 without weights, one value per row."""
    values = []
    for row, target in zip(logits, targets):
        total = sum(math.exp(x) for x in row)
        values.append(-sum(t * math.log(math.exp(x) / total) for x, t in zip(row, target)))
    return np.array(values)


def gradient(function, array, *, step=1e-6):
    """Central differences of a float64 scalar function, entry by entry."""
    array = np.array(array, np.float64)
    result = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        above, below = array.copy(), array.copy()
        above[index] += step
        below[index] -= step
        result[index] = (function(above) - function(below)) / (2 * step)
    return result


def _unit(rows):
    """Rows as lists of norm 1; a zero row stays zero."""
    result = []
    for row in rows:
        norm = math.sqrt(math.fsum(float(value) ** 2 for value in row))
        result.append([float(value) / (norm or 1.0) for value in row])
    return result


def _dot(left, right):
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def masked_smooth_l1(prediction, target, mask, *, beta):
    """PyTorch's smooth_l1_loss of the masked values, each example by itself."""
    values = []
    for b in range(prediction.shape[0]):
        total, count = 0.0, 0
        for n in range(prediction.shape[1]):
            for p in range(prediction.shape[2]):
                if mask[b, n]:
                    count += 1
                    size = abs(float(prediction[b, n, p]) - float(target[b, n, p]))
                    total += size**2 / (2 * beta) if size < beta else size - beta / 2
        values.append(total / count if count else 0.0)
    return np.array(values)
