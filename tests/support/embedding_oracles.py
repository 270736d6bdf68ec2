"""Expected values of the joint-embedding losses and of collapse: float64 loops from the papers."""

import math

import numpy as np


def cosine_regression(prediction, target):
    """Grill 2020 eq. 2; a zero vector has cosine 0 with everything."""
    return np.array([2 - 2 * _cosine(p, t) for p, t in zip(prediction, target)])


def dcl(view_a, view_b, *, temperature, weights=None):
    """Yeh 2021 section 3: the pair is not among the candidates; mean of both directions."""
    count = len(view_a)
    weights = np.ones(count) if weights is None else weights
    values = np.zeros(count)
    for i in range(count):
        for own, other in ((view_a, view_b), (view_b, view_a)):
            total = 0.0
            for j in range(count):
                if j != i:
                    total += math.exp(_cosine(own[i], own[j]) / temperature)
                    total += math.exp(_cosine(own[i], other[j]) / temperature)
            positive = weights[i] * _cosine(own[i], other[i]) / temperature
            values[i] += (math.log(total) - positive) / 2
    return values


def mises_fisher_weights(view_a, view_b, *, sigma):
    """Yeh 2021 section 3."""
    scores = [math.exp(_cosine(a, b) / sigma) for a, b in zip(view_a, view_b)]
    return np.array([2 - score / (sum(scores) / len(scores)) for score in scores])


def spectral_decay(rows, *, first, last=100):
    """Agrawal 2022: log eigenvalues of the covariance by log rank, least squares weighted 1 / k."""
    values = np.sort(np.linalg.eigvalsh(np.cov(rows.T)))[::-1]
    ranks = range(first, min(last, len(rows) - 1, rows.shape[1]) + 1)
    x, y = np.log(ranks), np.log([values[rank - 1] for rank in ranks])
    slope, _ = np.polyfit(x, y, 1, w=[rank**-0.5 for rank in ranks])
    return -slope


def koleo(features, *, epsilon):
    """Sablayrolles 2018 section 3."""
    return np.array([-math.log(d + epsilon) for d in nearest_distances(features)])


def nearest_distances(features):
    """Distance of each unit row to the nearest other one."""
    rows = [_unit(row) for row in features]
    result = []
    for i in range(len(rows)):
        result.append(min(math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i))
    return np.array(result)


def gram(student, teacher):
    """Siméoni 2025 eq. 2 divided by the number of pairs, one value per image."""
    values = []
    for own, other in zip(student, teacher):
        total = 0.0
        for n in range(len(own)):
            for m in range(len(own)):
                total += (_cosine(own[n], own[m]) - _cosine(other[n], other[m])) ** 2
        values.append(total / len(own) ** 2)
    return np.array(values)


def barlow_twins(view_a, view_b, *, redundancy_weight, epsilon):
    """Zbontar 2021 eqs. 1 and 2."""
    count, width = view_a.shape
    value = 0.0
    for i in range(width):
        for j in range(width):
            a, b = view_a[:, i], view_b[:, j]
            product = sum((a[n] - a.mean()) * (b[n] - b.mean()) for n in range(count)) / count
            variances = [sum((x - x.mean()) ** 2) / count + epsilon for x in (a, b)]
            correlation = product / math.sqrt(variances[0] * variances[1])
            value += (1 - correlation) ** 2 if i == j else redundancy_weight * correlation**2
    return value


def vicreg_terms(view_a, view_b, *, target_std, epsilon):
    """Bardes 2021 eqs. 1 to 5, with the means of the official code."""
    count, width = view_a.shape
    invariance = sum(
        (view_a[n, d] - view_b[n, d]) ** 2 for n in range(count) for d in range(width)
    ) / (count * width)
    variance, covariance = 0.0, 0.0
    for rows in (view_a, view_b):
        for i in range(width):
            for j in range(width):
                x, y = rows[:, i], rows[:, j]
                entry = sum((x[n] - x.mean()) * (y[n] - y.mean()) for n in range(count))
                entry /= count - 1
                if i == j:
                    variance += max(0.0, target_std - math.sqrt(entry + epsilon)) / (2 * width)
                else:
                    covariance += entry**2 / width
    return invariance, variance, covariance


def sinkhorn(scores, *, num_iterations, epsilon):
    """Caron 2020 eqs. 3 to 5, scores [B, M], on the exponentials themselves."""
    codes = np.exp(scores / epsilon)
    for _ in range(num_iterations):
        for m in range(codes.shape[1]):
            codes[:, m] /= sum(codes[:, m])
        for b in range(codes.shape[0]):
            codes[b] /= sum(codes[b])
    return codes


def swapped(logits, targets):
    """Mean cross-entropy of each example's views against the targets of its other views."""
    values = []
    for views, kinds in zip(logits, targets):
        total, pairs = 0.0, 0
        for u in range(len(kinds)):
            for v in range(len(views)):
                if u != v:
                    partition = sum(math.exp(x) for x in views[v])
                    total -= sum(
                        q * math.log(math.exp(x) / partition) for q, x in zip(kinds[u], views[v])
                    )
                    pairs += 1
        values.append(total / pairs)
    return np.array(values)


def softmax(logits):
    """Over the last axis, of small numbers."""
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def epps_pulley(samples, *, num_knots, max_frequency):
    """Balestriero 2025 algorithm 1 for one slice, both signs of the frequency, trapezoids."""
    frequencies = np.linspace(-max_frequency, max_frequency, 2 * num_knots - 1)
    heights = []
    for t in frequencies:
        empirical = sum(complex(math.cos(t * x), math.sin(t * x)) for x in samples) / len(samples)
        heights.append(abs(empirical - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2))
    area = 0.0
    for left in range(len(heights) - 1):
        width = frequencies[left + 1] - frequencies[left]
        area += width * (heights[left] + heights[left + 1]) / 2
    return len(samples) * area


def uniformity(features, *, t):
    """Wang 2020 section 4.1.2."""
    rows = [_unit(row) for row in features]
    potentials = [
        math.exp(-t * math.dist(rows[i], rows[j]) ** 2)
        for i in range(len(rows))
        for j in range(len(rows))
        if i != j
    ]
    return math.log(sum(potentials) / len(potentials))


def _cosine(left, right):
    return math.fsum(a * b for a, b in zip(_unit(left), _unit(right), strict=True))


def _unit(row):
    norm = math.sqrt(math.fsum(float(value) ** 2 for value in row))
    return [float(value) / (norm or 1.0) for value in row]
