"""Scores of predictions with intervals and tests, and measures of sets of images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_calibration": ["Reliability", "accuracy_coverage_curve", "measure_reliability"],
        "_comparisons": [
            "FoldEstimate",
            "corrected_resampled_ttest",
            "estimate_over_folds",
            "holm_correction",
        ],
        "_intervals": [
            "Estimate",
            "accuracy_interval",
            "balanced_accuracy_interval",
            "mean_interval",
        ],
        "_scores": ["macro_roc_auc"],
        "_description": ["describe_images"],
    },
)
