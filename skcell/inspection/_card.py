"""The model card: what is known of a model, and what its makers have to add."""

from collections.abc import Mapping, Sequence
from typing import Any

from skcell._version import __version__
from skcell.inspection._evaluation import Evaluation
from skcell.persistence import ModelInfo

#: Shown where only the makers know.
BLANK = ""

Card = Sequence[tuple[str, Sequence[tuple[str, str]]]]


def make_card(info: ModelInfo, found: Evaluation, data: str) -> Card:
    """Fill in a model card, by the items of CLAIM 2024 (Tejani et al.), as far as it is known."""
    training = info.training
    made = training.get("data", {}) if isinstance(training.get("data"), Mapping) else {}
    choices = [str(one) for one in training.get("choices", [])]
    shape = " x ".join(map(str, info.image_shape or ()))
    split = str(made.get("split", BLANK))
    return [
        (
            "Use",
            [
                ("Intended use, users and patients", BLANK),
                (
                    "What it must not be used for",
                    "To decide about a patient by itself; on cells of kinds that it was not "
                    "trained on; on images of another microscope, stain or camera, unless it was "
                    "tested there.",
                ),
                ("Clearance by authorities", BLANK),
            ],
        ),
        (
            "Data",
            [
                ("Source of the training images, dates, laboratories", _source(made)),
                ("Which patients and images were included", BLANK),
                ("Microscope, stain, camera", BLANK),
                ("Removal of personal data", BLANK),
                ("Number of images", _counts(made)),
                (
                    "Preparation of the images",
                    f"Resized to {shape} values of {info.dtype}; nothing else before the network."
                    if shape
                    else BLANK,
                ),
                ("Missing or damaged images", BLANK),
            ],
        ),
        (
            "Reference standard",
            [
                ("Classes", ", ".join(map(str, info.classes))),
                ("How and by whom the labels were given; their agreement", BLANK),
            ],
        ),
        (
            "Split",
            [
                ("How images were assigned to training and test", split),
                ("Level of the split", _level(made)),
            ],
        ),
        (
            "Model",
            [
                ("Estimator and its parameters", " ".join(info.estimator.split())),
                ("Epochs", _epochs(made)),
                ("Choices, and why", " ".join(choices)),
                ("Software", _software(info)),
            ],
        ),
        (
            "Test",
            [
                ("Data", f"{data}, {len(found.y_true):,} images"),
                ("Accuracy, with its 95 % interval", str(found.accuracy)),
                (
                    "Mean recall of the classes, with its 95 % interval",
                    str(found.balanced_accuracy),
                ),
                ("Images of another laboratory", BLANK),
                ("Age, sex and origin of the patients", BLANK),
                ("Limits that are known", BLANK),
            ],
        ),
        ("Who", [("Makers and contact", BLANK), ("Funding and interests", BLANK)]),
    ]


def _source(made: Mapping[str, Any]) -> str:
    if "name" not in made:
        return BLANK
    return f"Folder {made['name']!r}; SHA-256 of its images {made.get('digest', 'unknown')}."


def _epochs(made: Mapping[str, Any]) -> str:
    found = made.get("epochs")
    if not isinstance(found, Mapping):
        return BLANK
    text = f"{found.get('done')} of {found.get('planned')}"
    return f"{text}; training was interrupted by the user" if found.get("interrupted") else text


def _level(made: Mapping[str, Any]) -> str:
    if "n_groups" not in made:
        return BLANK
    if made["n_groups"]:
        return f"Patient or slide: {made['n_groups']} groups."
    return (
        "Image. Images of one patient may be in both parts: expect lower scores on other patients."
    )


def _counts(made: Mapping[str, Any]) -> str:
    told = []
    for key, name in (("n_train", "training"), ("n_test", "test")):
        counts = made.get(key)
        if isinstance(counts, Mapping):
            classes = ", ".join(f"{label} {n:,}" for label, n in counts.items())
            told.append(f"{name} {sum(counts.values()):,} ({classes})")
    return "; ".join(told) or BLANK


def _software(info: ModelInfo) -> str:
    versions = {"skcell": __version__, **{k: v for k, v in info.software.items() if v}}
    return ", ".join(f"{name} {version}" for name, version in versions.items())
