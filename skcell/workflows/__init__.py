"""What the commands do, as functions: check, train, predict, count, evaluate and adapt."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_check": ["check_folder"],
        "_demo": ["write_demo"],
        "_field_prediction": ["predict_fields"],
        "_fields": ["CroppedFolder", "crop_folder"],
        "_folders": ["adapt_to_folder", "evaluate_folder"],
        "_prediction": [
            "Prediction",
            "count_files",
            "find_images",
            "predict_files",
        ],
        "_suggestion": ["Suggestion", "suggest_files"],
        "_training": ["TrainingResult", "train"],
    },
    internal={
        "_check": ["doubt_labels", "save_check"],
        "_folders": ["check_first"],
        "_interrupt": ["StopOnInterrupt"],
        "_prediction": ["to_record", "write_predictions"],
        "_suggestion": ["Survey", "survey_files"],
        "_training": ["report_folder"],
    },
)
