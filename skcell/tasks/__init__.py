"""The tasks of the command line: train a model from a folder, predict new images, evaluate."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_check": ["check_folder", "doubt_labels", "save_check"],
        "_evaluation": ["Evaluation", "Score", "evaluate"],
        "_folders": [
            "adapt_to_folder",
            "evaluate_folder",
            "check_first",
        ],
        "_interrupt": ["StopOnInterrupt"],
        "_figures": ["Figures", "make_figures"],
        "_page": ["make_page"],
        "_prediction": [
            "Prediction",
            "find_images",
            "predict_files",
            "to_record",
            "write_predictions",
        ],
        "_training": ["TrainingResult", "train"],
    },
)
