"""Value and gradient of the losses beside PyTorch: lightly, and formulas of others rewritten.

Needs the extra ``peers``; skipped where PyTorch is not there. Where a peer's mean differs from the
paper's or ours, the factor stands here.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import collapse, losses

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, not ours
    torch = pytest.importorskip("torch")
    from lightly import loss as lightly_losses
    from lightly.models.modules import NNMemoryBankModule, center
F = torch.nn.functional

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
BATCH, WIDTH, PROTOTYPES, QUEUE = 24, 8, 10, 32


def _rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


BANK = _rows(8, QUEUE, WIDTH)
CENTRES = _rows(9, PROTOTYPES, WIDTH)
CENTER = 0.1 * _rows(10, PROTOTYPES)
LABELS = np.arange(BATCH) % PROTOTYPES
SCORES = (BATCH, 4, PROTOTYPES)  # two full-size crops and two small ones
DIRECTIONS = np.asarray(jax.random.normal(jax.random.key(0), (16, WIDTH)))


def _unit(rows):
    return F.normalize(rows, dim=-1)


def _queue_contrast(query, positive):
    loss = lightly_losses.NTXentLoss(temperature=0.2, memory_bank_size=BANK.shape)
    loss.memory_bank.bank = _unit(torch.tensor(BANK))  # theirs holds unit rows
    return loss(query, positive)


def _one_direction(query, positive):
    logits = _unit(query) @ _unit(positive).T / 0.1
    return F.cross_entropy(logits, torch.arange(len(query)))


def _siglip(image, text):
    """As open_clip's SigLipLoss on one device."""
    logits = _unit(image) @ _unit(text).T * 10 - 10
    labels = 2 * torch.eye(len(image)) - 1
    return -F.logsigmoid(labels * logits).sum() / len(image)


def _whitened_product(a, b):
    return (lightly_losses.Whitening2d(WIDTH, eps=1e-3)(a) * b).mean()


def _wmse(a, b):
    loss = lightly_losses.WMSELoss(embedding_dim=WIDTH, eps=1e-3, w_size=len(a))
    return loss(torch.cat([a, b]))


def _wmse_in_two(a, b):
    loss = lightly_losses.WMSELoss(embedding_dim=WIDTH, eps=1e-3, w_size=len(a) // 2)
    torch.manual_seed(0)  # of the division
    return loss(torch.cat([a, b]))


def _our_wmse_in_two(a, b):
    torch.manual_seed(0)
    groups = np.zeros(len(a), np.int32)
    groups[torch.randperm(len(a))[len(a) // 2 :]] = 1
    return losses.whitening_mse(a, b, groups=groups, num_groups=2, epsilon=1e-3)


def _vicreg_summed(a, b):
    """Variance terms of the two views added, where lightly and the official code average them."""
    value = 25 * F.mse_loss(a, b)
    for rows in (a, b):
        rows = rows - rows.mean(0)
        value += 25 * F.relu(1 - torch.sqrt(rows.var(0) + 1e-4)).mean()
        covariance = rows.T @ rows / (len(rows) - 1)
        value += (covariance.fill_diagonal_(0) ** 2).sum() / WIDTH
    return value


def _our_vicreg_summed(a, b):
    terms = losses.vicreg_terms(a, b)
    return 25 * terms.invariance + 50 * terms.variance + terms.covariance


def _prototypes(features, _):
    return F.cross_entropy(
        _unit(features) @ _unit(torch.tensor(CENTRES)).T / 0.1, torch.tensor(LABELS)
    )


def _swav(scores, _):
    views = list(scores.unbind(1))
    return lightly_losses.SwaVLoss()(views[:2], views[2:]).sum()


def _our_swav(scores, _):
    return losses.swav(scores, losses.sinkhorn(scores[:, :2]))


def _dino(student, teacher):
    loss = lightly_losses.DINOLoss(output_dim=PROTOTYPES, teacher_temp=0.07)
    loss.center = torch.tensor(CENTER)[None, None]
    return loss(list(teacher[:, :2].detach().unbind(1)), list(student.unbind(1)))


def _our_dino(student, teacher):
    return losses.dino(student, teacher[:, :2], center=CENTER, teacher_temperature=0.07)


def _sigreg(embeddings, _):
    regulariser = lightly_losses.lejepa_loss.SIGReg(num_vectors=len(DIRECTIONS))
    unit = torch.tensor(DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True))
    regulariser._generate_unit_vectors = lambda *unused: unit.T
    return regulariser(embeddings)


def _view_invariance(projections, _):
    views = projections.transpose(0, 1)
    loss = lightly_losses.lejepa_loss.lejepa_invariance_loss
    return loss(all_proj=views, global_proj=views[:2])


def _gram(student, teacher):
    """As DINOv3's official GramLoss in its recipes: per image, normalised, signs kept."""
    student, teacher = _unit(student), _unit(teacher)
    return F.mse_loss(student @ student.mT, teacher @ teacher.mT)


def _cosine(prediction, target):
    return lightly_losses.NegativeCosineSimilarity()(prediction, target)


ROWS = ((BATCH, WIDTH), (BATCH, WIDTH))
MORE_ROWS = ((4 * WIDTH, WIDTH), (4 * WIDTH, WIDTH))  # their half must hold two widths
CASES = {
    "nt_xent": (losses.nt_xent, lambda a, b: lightly_losses.NTXentLoss(0.1)(a, b), ROWS),
    "info_nce": (losses.info_nce, _one_direction, ROWS),
    "info_nce with a queue": (
        lambda a, b: losses.info_nce(a, b, negatives=BANK, temperature=0.2), _queue_contrast, ROWS,
    ),
    "siglip": (lambda a, b: losses.siglip(a, b, temperature=0.1, bias=-10.0), _siglip, ROWS),
    "siglip, tiled": (
        lambda a, b: losses.siglip(a, b, temperature=0.1, bias=-10.0, block_size=7), _siglip, ROWS,
    ),
    "dcl": (losses.dcl, lambda a, b: lightly_losses.DCLLoss()(a, b), ROWS),
    "dclw": (losses.dclw, lambda a, b: lightly_losses.DCLWLoss()(a, b), ROWS),
    "cosine_regression": (lambda a, b: losses.cosine_regression(a, b) / 2 - 1, _cosine, ROWS),
    "barlow_twins": (
        lambda a, b: losses.barlow_twins(a, b, redundancy_weight=5e-3),
        lambda a, b: lightly_losses.BarlowTwinsLoss()(a, b), ROWS,
    ),
    "vicreg": (losses.vicreg, lambda a, b: lightly_losses.VICRegLoss()(a, b), ROWS),
    "vicreg, variances added": (_our_vicreg_summed, _vicreg_summed, ROWS),
    "whitening_mse": (lambda a, b: losses.whitening_mse(a, b, epsilon=1e-3), _wmse, ROWS),
    "whitening_mse in two groups": (_our_wmse_in_two, _wmse_in_two, MORE_ROWS),
    "whiten": (lambda a, b: losses.whiten(a, epsilon=1e-3) * b, _whitened_product, ROWS),
    "koleo": (lambda a, _: losses.koleo(a), lambda a, _: lightly_losses.KoLeoLoss()(a), ROWS),
    "gram": (losses.gram, _gram, (SCORES, SCORES)),
    "swav": (_our_swav, _swav, (SCORES, (1,))),
    "dino": (_our_dino, _dino, (SCORES, SCORES)),
    "prototype_cross_entropy": (
        lambda a, _: losses.prototype_cross_entropy(a, CENTRES, LABELS), _prototypes, ROWS,
    ),
    "sigreg": (
        lambda a, _: losses.sigreg(jax.random.key(0), a, num_slices=len(DIRECTIONS)), _sigreg, ROWS,
    ),
    "view_invariance": (
        lambda a, _: losses.view_invariance(a, num_global=2), _view_invariance, (SCORES, (1,)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_the_peer(name):
    ours, theirs, shapes = CASES[name]
    arrays = [_rows(seed, *shape) for seed, shape in enumerate(shapes)]
    if SCORES in shapes:
        arrays = [np.tanh(array) for array in arrays]  # cosines
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*tensors)
    expected.backward()
    price = jax.jit(jax.value_and_grad(lambda a, b: jnp.mean(ours(a, b)), argnums=(0, 1)))
    value, gradients = price(*arrays)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
    for gradient, tensor in zip(gradients, tensors):
        reference = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
        scale = max(np.max(np.abs(reference)), 1e-3)
        np.testing.assert_allclose(gradient, reference, rtol=0, atol=2e-5 * scale)


def test_codes_and_neighbours_are_those_of_the_peer():
    scores = np.tanh(_rows(0, BATCH, PROTOTYPES))
    expected = lightly_losses.swav_loss.sinkhorn(torch.tensor(scores))
    np.testing.assert_allclose(losses.sinkhorn(scores), expected, rtol=1e-4, atol=1e-6)
    query = _rows(1, BATCH, WIDTH)
    memory = NNMemoryBankModule(size=BANK.shape)
    memory.bank = torch.tensor(BANK)
    nearest = losses.nearest_neighbours(query, BANK)
    np.testing.assert_array_equal(BANK[nearest], memory(torch.tensor(query)))


def test_centre_follows_as_that_of_the_peer():
    moving = center.Center(size=(1, 1, PROTOTYPES), momentum=0.9)
    ours = np.zeros(PROTOTYPES, np.float32)
    for seed in range(3):
        teacher = _rows(seed, BATCH, 2, PROTOTYPES)
        moving.update(torch.tensor(teacher))
        ours = losses.dino_center(ours, teacher)
    np.testing.assert_allclose(ours, moving.value[0, 0], rtol=1e-5, atol=1e-7)


def test_measures_of_collapse_are_those_of_torch():
    rows, other = _rows(0, BATCH, WIDTH), _rows(1, BATCH, WIDTH)
    a, b = _unit(torch.tensor(rows)), _unit(torch.tensor(other))
    expected = torch.pdist(a).pow(2).mul(-2).exp().mean().log()
    np.testing.assert_allclose(collapse.uniformity(rows), expected, rtol=1e-5)
    np.testing.assert_allclose(
        collapse.alignment(rows, other), (a - b).norm(dim=1).pow(2).mean(), rtol=1e-5
    )
    np.testing.assert_allclose(collapse.feature_std(rows), a.std(0, correction=0).mean(), rtol=1e-5)
    sigma = torch.linalg.svdvals(torch.tensor(rows))
    share = sigma / sigma.sum() + 1e-7
    expected = torch.exp(-(share * share.log()).sum())
    np.testing.assert_allclose(collapse.effective_rank(rows), expected, rtol=1e-5)
