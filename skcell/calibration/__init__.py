"""How sure a prediction is: calibrated probabilities, sets of plausible classes, unknown cells."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_calibrated": ["Assessment", "CalibratedClassifier"],
        "_conformal": ["ConformalSets"],
        "_shift": ["HomeProfile", "ShiftReport"],
        "_temperature": ["fit_temperature", "scale_probabilities"],
        "_unknown": ["UnknownDetector"],
    },
)
