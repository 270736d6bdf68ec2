"""How predicted masks overlap with true ones: confusion matrices, and IoU by class."""

from typing import NamedTuple

import numpy as np

from jaxssl.data import masked

_NUM_RESAMPLES = 200


class Overlap(NamedTuple):
    """What a confusion matrix of pixels says.

    Attributes:
        mean_iou: mean of ``class_iou`` over the classes that there are.
        class_iou: [K] of each class, NaN for one that neither truth nor prediction has.
        pixel_accuracy: part of the pixels that are right.
    """

    mean_iou: float
    class_iou: np.ndarray
    pixel_accuracy: float


class Tally:
    """The confusion matrix of many images, taken a batch at a time.

    Attributes:
        num_classes: K.
        total: int64 [K, K], summed over images.
    """

    def __init__(self, num_classes: int, seed: int = 0):
        """Begins with no image.

        Args:
            num_classes: K.
            seed: of the resampling.
        """
        self.num_classes = num_classes
        self.total = np.zeros((num_classes, num_classes), np.int64)
        self._generator = np.random.default_rng(seed)
        self._resampled = np.zeros((_NUM_RESAMPLES, num_classes, num_classes), np.int64)

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Takes the masks of some images; see ``confusions``."""
        found = confusions(truth, predicted, self.num_classes)
        self.total += found.sum(axis=0)
        counts = self._generator.poisson(1.0, (_NUM_RESAMPLES, len(found)))
        self._resampled += np.tensordot(counts, found, axes=1)

    def half_width(self) -> float:
        """Half of the 95 % interval of the mean IoU over the draw of the images.

        1.96 standard deviations of 200 resamples, in which an image stands as often as a Poisson
        number of mean 1 says: the bootstrap of images that are seen once.

        Source: Oza and Russell, Online Bagging and Boosting, 2001.
        """
        means = [measure(each).mean_iou for each in self._resampled if each.any()]
        return 1.96 * float(np.std(means))


def confusions(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Confusion matrices, one of each image.

    Args:
        truth: integers [B, H, W] in [0, K), or ``masked.IGNORED``, which is not counted.
        predicted: integers [B, H, W] in [0, K).
        num_classes: K.

    Returns:
        int64 [B, K, K]: pixels of an image that are of class i and were predicted j.
    """
    count = len(truth)
    cells = num_classes**2
    image = np.arange(count)[:, None, None]
    places = image * cells + truth.astype(np.int64) * num_classes + predicted
    counted = places[truth != masked.IGNORED]
    return np.bincount(counted, minlength=count * cells).reshape(count, num_classes, num_classes)


def measure(confusion: np.ndarray) -> Overlap:
    """IoU and pixel accuracy of all pixels of a data set together.

    IoU of class k = right / (true + predicted - right), counts of pixels.

    Args:
        confusion: numbers [K, K], ``confusions`` summed over images.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, 2015.
    """
    confusion = confusion.astype(np.float64)
    right = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    class_iou = np.where(union > 0, right / np.where(union > 0, union, 1.0), np.nan)
    total = confusion.sum()
    return Overlap(float(np.nanmean(class_iou)), class_iou, float(right.sum() / total))
