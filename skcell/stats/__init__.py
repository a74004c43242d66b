"""Confidence intervals and significance tests for scores."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_comparisons": ["corrected_resampled_ttest", "holm_correction"],
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
