"""See what a model learned, where it fails, and why."""

from skcell import _lazy

__getattr__, __dir__, _names = _lazy.attach(
    __name__,
    submod_attrs={
        "_classes": [
            "AccuracyCoverageDisplay",
            "ClassRecallDisplay",
            "ReliabilityDisplay",
        ],
        "_corruption_report": [
            "CORRUPTION_SETS",
            "CorruptionDisplay",
            "CorruptionReport",
            "corruption_report",
        ],
        "_curves": ["ClassCurvesDisplay"],
        "_embedding": ["EmbeddingDisplay"],
        "_maps": ["confirm_maps", "grad_cam", "occlusion_map", "spotlight"],
        "_samples": [
            "AugmentationDisplay",
            "ConfusionPicturesDisplay",
            "ExplanationDisplay",
            "ResamplingDisplay",
            "find_confusions",
        ],
        "_training_curves": ["TrainingCurvesDisplay"],
    },
)

#: Used by other parts of skcell, but not part of the public interface.
_INTERNAL = {"find_confusions"}

__all__ = sorted(set(_names) - _INTERNAL)
