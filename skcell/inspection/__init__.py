"""See what a model learned, where it fails, and why."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_classes": [
            "AccuracyCoverageDisplay",
            "ClassRecallDisplay",
            "ReliabilityDisplay",
        ],
        "_corruption_report": [
            "CorruptionDisplay",
            "CorruptionReport",
            "corruption_report",
        ],
        "_curves": ["ClassCurvesDisplay"],
        "_embedding": ["EmbeddingDisplay"],
        "_evaluation": ["Evaluation", "evaluate"],
        "_maps": ["confirm_maps", "grad_cam", "occlusion_map", "spotlight"],
        "_samples": [
            "AdaptationDisplay",
            "AugmentationDisplay",
            "ConfusionPicturesDisplay",
            "ExplanationDisplay",
            "ResamplingDisplay",
        ],
        "_training_curves": ["TrainingCurvesDisplay"],
    },
    internal={
        "_card": ["make_card"],
        "_figures": ["make_figures"],
        "_page": ["make_page", "write_evaluation"],
        "_samples": ["find_confusions"],
    },
)
