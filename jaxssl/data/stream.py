"""What a process reads in training, example by example: a pure function of the position."""

import dataclasses

import numpy as np

from jaxssl import cropping
from jaxssl.data import arrays, crops, order
from jaxssl.data import source as source_lib


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """The parts of one process of batch after batch, without an end.

    Attributes:
        source: what is read.
        batch_size: examples of the global batch.
        seed: of the order and of the crops.
        first: place of this process's first example in the global batch.
        local_size: how many of a batch are this process's.
        labels: whether records keep "label".
        crops: that records hold of the whole image in its place; none: the image.
    """

    source: source_lib.Source
    batch_size: int
    seed: int
    first: int
    local_size: int
    labels: bool
    crops: tuple[cropping.Crop, ...]

    def rows(self, step: int) -> np.ndarray:
        """Rows of the source in this process's part of the batch of one step; int64 [B]."""
        rows = order.step_rows(
            step, count=len(self.source), batch_size=self.batch_size, seed=self.seed
        )
        return rows[self.first : self.first + self.local_size]

    def record(self, position: int, *, whole: bool = False) -> source_lib.Record:
        """The record at a position, counted from step 0, and its row number.

        Args:
            position: ``step * local_size`` and the place in this process's part of that batch.
            whole: with the image as evaluation reads it, where there are crops.
        """
        step, place = divmod(position, self.local_size)
        row = int(self.rows(step)[place])
        if self.crops and not whole:
            place += self.first
            cut = crops.draw(self.crops, seed=self.seed, step=step, position=place)
            record = dict(source_lib.whole_images(self.source).cropped(row, cut))
        else:
            record = dict(self.source[row])
        if not self.labels:
            record.pop(arrays.LABEL, None)
        return record | {arrays.ROW_NUMBERS: row}
