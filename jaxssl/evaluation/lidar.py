"""LiDAR: how many directions tell images apart beyond what differs between views of one image."""

import numpy as np
import scipy.linalg

from jaxssl import checks
from jaxssl.evaluation import threads


def lidar(views: np.ndarray, *, delta: float = 1e-4, epsilon: float = 1e-7) -> float:
    """Effective rank of the linear discriminant of images, each a class of its own views.

        Sigma_b = 1 / (n - 1)     sum_i (m_i - m)(m_i - m)^T
        Sigma_w = 1 / (n (q - 1)) sum_i sum_j (e_ij - m_i)(e_ij - m_i)^T + delta I
        lambda: eigenvalues of Sigma_w^-1/2 Sigma_b Sigma_w^-1/2
        p_k = lambda_k / sum lambda + epsilon,   value = exp( -sum_k p_k log p_k )

    with m_i the mean of the views of image i, m the mean of all. RankMe counts every direction of
    the features, LiDAR those in which images differ more than their own views do.

    Args:
        views: e, real [n, q, D]: n images, q views of each.
        delta: above 0; what counts as no difference between views, in squared units of the
            features.
        epsilon: above 0.

    Returns:
        From about 1 to min(n - 1, D). Compare only values of the same n, q and augmentation.

    Raises:
        ValueError: another shape, fewer than two images or views, features that are not finite.

    Source: Thilak et al., LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL
        Architectures, 2023, arXiv:2312.04000, section 3.
    """
    views = np.asarray(views, np.float64)
    if views.ndim != 3:
        raise ValueError(f"lidar: views must be [n, q, D]; got shape {views.shape}.")
    num_images, num_views, num_features = views.shape
    checks.at_least("lidar", 2, num_images=num_images, num_views=num_views)
    checks.above("lidar", 0, delta=delta, epsilon=epsilon)
    if not np.isfinite(views).all():
        raise ValueError("lidar: views must be finite; got NaN or infinity.")
    means = views.mean(axis=1)
    between = means - means.mean(axis=0)
    within = (views - means[:, None]).reshape(-1, num_features)
    with threads.one_for_blas():
        covariance = within.T @ within / (num_images * (num_views - 1))
        values = scipy.linalg.eigh(
            between.T @ between / (num_images - 1),
            covariance + delta * np.eye(num_features),
            eigvals_only=True,
        )
    values = np.maximum(values, 0)  # rounding
    share = values / (values.sum() or 1) + epsilon
    return float(np.exp(-np.sum(share * np.log(share))))
