"""Metrics for predictions, and for sets of images."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_calibration": ["Reliability", "accuracy_coverage_curve", "measure_reliability"],
        "_scores": ["macro_roc_auc"],
        "_shift": ["Shift", "describe_images", "measure_shift"],
    },
)
