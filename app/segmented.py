"""What the service knows of one picture once the network has spoken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.served_model import ServedModel
from model.inference.segmenter import Picture
from model.structures import Mode, RawOutput, Sample, Segmentation


@dataclass(frozen=True, eq=False)
class Segmented:
    """One picture's answer and all that a protocol may need to write it down.

    Attributes:
        model: whose answer it is.
        image: as it came.
        sample: the prepared picture.
        raw: the network's own output.
        segmentation: the answer that was asked for.
        timing_s: seconds per stage so far.
    """

    model: ServedModel
    image: Picture
    sample: Sample
    raw: RawOutput
    segmentation: Segmentation
    timing_s: Mapping[str, float]

    def in_mode(self, mode: Mode, classes: Sequence[str] | None = None) -> Segmentation:
        """The answer in another mode, at the model's own thresholds; takes its time.

        Args:
            mode: any of the model's.
            classes: names of the classes to keep, as for the answer itself.
        """
        if mode == self.segmentation.mode:
            return self.segmentation
        return self.model.segmenter.finish(self.raw, self.sample, mode, classes=classes)
