"""Calibrated probabilities, prediction sets, out-of-distribution images and domain shift."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_calibrated": ["Assessment", "CalibratedClassifier"],
        "_conformal": ["ConformalSets"],
        "_shares": ["CellCount", "estimate_shares"],
        "_shift": ["ReferenceProfile", "ShiftReport", "measure_shift"],
        "_temperature": ["fit_temperature", "scale_probabilities"],
        "_unknown": ["UnknownDetector"],
    },
)
