"""A loaded model as requests see it: under a name, behind a queue."""

from dataclasses import dataclass

from app.batcher import Batcher
from app.schemas import ClassAnswer, ModelAnswer
from model.errors import InvalidParameterError
from model.inference.segmenter import Segmenter

# Several times the names of a thousand classes; chosen, not tuned.
_MAX_LETTERS = 50_000


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A loaded model under the name that requests use, with the queue of its engine."""

    name: str
    segmenter: Segmenter
    batcher: Batcher

    @property
    def hash(self) -> str:
        """The exact state of the model."""
        return self.segmenter.artifact.hash

    def class_names(self, asked: list[str] | None) -> list[str] | None:
        """Split comma lists, but never inside a class's own name, which may hold commas.

        Raises:
            InvalidParameterError: more text than the names of all classes can need.
        """
        if asked is None:
            return None
        letters = sum(map(len, asked))
        if letters > _MAX_LETTERS:
            raise InvalidParameterError(
                f"expected classes of at most {_MAX_LETTERS} letters together, got {letters}"
            )
        known = {entry.name for entry in self.segmenter.artifact.manifest.taxonomy.classes}
        names: list[str] = []
        for text in asked:
            names += [text] if text in known else [part.strip() for part in text.split(",")]
        return names


def describe_model(model: ServedModel, is_default: bool) -> ModelAnswer:
    """What `GET /models` says of one model."""
    manifest, engine = model.segmenter.artifact.manifest, model.segmenter.engine
    defaults, sizes = manifest.postprocessing, manifest.preprocessing
    return ModelAnswer(
        name=model.name,
        hash=model.hash,
        is_default=is_default,
        modes=list(manifest.modes),
        default_mode=defaults.mode,
        classes=[ClassAnswer(**entry.model_dump()) for entry in manifest.taxonomy.classes],
        engine=engine.name,
        device=engine.device,
        precision=engine.precision,
        slots=engine.slots,
        max_batch=engine.max_batch,
        preprocessing={
            "shortest_edge_px": sizes.shortest_edge_px,
            "longest_edge_px": sizes.longest_edge_px,
            "pad_to_px": sizes.pad_to_px,
        },
        thresholds={
            "score_threshold": defaults.score_threshold,
            "overlap_threshold": defaults.overlap_threshold,
            "mask_threshold": defaults.mask_threshold,
        },
        licence=manifest.licence,
        source=manifest.source,
        scores=manifest.scores,
    )
