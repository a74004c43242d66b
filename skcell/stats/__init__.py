"""Confidence intervals and significance tests for scores."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_comparisons": [
            "FoldEstimate",
            "corrected_resampled_ttest",
            "estimate_over_folds",
            "holm_correction",
        ],
        "_intervals": [
            "accuracy_interval",
            "balanced_accuracy_interval",
            "cross_validated_interval",
            "design_effect",
            "grouped_accuracy_interval",
            "mean_interval",
        ],
    },
)
