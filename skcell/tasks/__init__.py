"""The tasks of the command line: train a model from a folder, predict new images, evaluate."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_check": ["check_folder"],
        "_evaluation": ["Evaluation", "Score", "evaluate"],
        "_folders": ["adapt_to_folder", "evaluate_folder"],
        "_prediction": ["Prediction", "find_images", "predict_files"],
        "_training": ["TrainingResult", "train"],
    },
    internal={
        "_check": ["doubt_labels", "save_check"],
        "_figures": ["Figures", "make_figures"],
        "_folders": ["check_first"],
        "_interrupt": ["StopOnInterrupt"],
        "_page": ["make_page"],
        "_prediction": ["to_record", "write_predictions"],
    },
)
