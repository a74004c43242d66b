"""The tasks of the command line: train a model from a folder, predict new images, evaluate."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_evaluation": ["Evaluation", "Score", "evaluate"],
        "_folders": [
            "adapt_to_folder",
            "classifier_of",
            "evaluate_folder",
            "look_first",
            "save_evaluation",
        ],
        "_interrupt": ["StopOnInterrupt"],
        "_page": ["describe_shift", "make_page"],
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
