"""Coverage of intervals and prediction sets, and false alarms, by simulation.

What is simulated: patients with images of eight classes; probabilities that are calibrated or not;
holdouts without a wrong image. Homes of the shift detector are drawn from real cells, and so are
the data sets of small studies, in which a technique is also compared with itself. `--data` is an
.npz file with `X` and `y` of small cells:

    python benchmarks/bench_statistics.py --data cells.npz
"""

import warnings
from dataclasses import astuple
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier

from skcell import CellCNNClassifier
from skcell._environment import environment
from skcell.calibration import ConformalSets, ReferenceProfile, fit_temperature, scale_probabilities
from skcell.metrics import (
    balanced_accuracy_interval,
    corrected_resampled_ttest,
    describe_images,
    estimate_over_folds,
    measure_reliability,
)


def simulate_balanced_accuracy(n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Coverage of 95 % intervals of the balanced accuracy with patients."""
    rows = []
    for n_classes in (2, 8):
        logits = np.linspace(1.5, 3, n_classes)
        for n_patients in (5, 10, 20):
            for spread in (0.0, 0.5, 1.0):
                truth = expit(logits + rng.normal(0, spread, (100_000, 1))).mean()
                covered = []
                for _ in range(n):
                    groups = np.repeat(np.arange(n_patients), 96)
                    y = np.tile(np.arange(n_classes), len(groups) // n_classes)
                    of_patient = rng.normal(0, spread, n_patients)[groups]
                    correct = rng.random(len(y)) < expit(logits[y] + of_patient)
                    found = balanced_accuracy_interval(y, np.where(correct, y, -1), groups)
                    covered.append(found.low <= truth <= found.high)
                rows.append(
                    {
                        "classes": n_classes,
                        "patients": n_patients,
                        "spread_between_patients": spread,
                        "coverage": float(np.mean(covered)),
                    }
                )
    return rows


def simulate_sets(n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Coverage of prediction sets for images of new patients."""

    def patients(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(count), 40)
        codes = rng.integers(0, 4, len(groups))
        ease = rng.normal(1.5, 1.5, count)[groups]
        logits = rng.normal(0, 1, (len(groups), 4)) + ease[:, None] * np.eye(4)[codes]
        return scale_probabilities(np.exp(logits), 1.0), codes, groups

    rows = []
    for n_patients in (3, 5, 10, 20, 40):
        for coverage in (0.9, 0.95):
            hit: dict[str, list[float]] = {"images": [], "patients": []}
            full = []
            for _ in range(n):
                p, codes, groups = patients(n_patients)
                new, truth, _ = patients(1)
                for name, known in (("images", None), ("patients", groups)):
                    found = ConformalSets.fit(p, codes, groups=known).predict(new, coverage)
                    hit[name].append(float(found[np.arange(len(truth)), truth].mean()))
                full.append(float(found.all()))
            rows.append(
                {
                    "patients": n_patients,
                    "promised": coverage,
                    "coverage_by_images": float(np.mean(hit["images"])),
                    "coverage_by_patients": float(np.mean(hit["patients"])),
                    "all_classes_in_each_set": float(np.mean(full)),
                }
            )
    return rows


def simulate_temperature(n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Temperatures of small holdouts of a network that is nearly always right."""
    rows = []
    for size in (20, 60, 200):
        found, losses, plain = [], [], []
        for _ in range(n):
            margin = rng.normal(4.5, 2.0, size + 2000)  # of the true class
            p = np.stack([expit(margin), expit(-margin)], axis=1)
            temperature = fit_temperature(p[:size], np.zeros(size, np.intp))
            scaled = scale_probabilities(p[size:], temperature)
            found.append(temperature)
            losses.append(-np.log(scaled[:, 0]).mean())
            plain.append(-np.log(p[size:, 0]).mean())
        rows.append(
            {
                "held_out": size,
                "lowest_temperature": float(np.min(found)),
                "median_temperature": float(np.median(found)),
                "log_loss_elsewhere": float(np.mean(losses)),
                "log_loss_elsewhere_without": float(np.mean(plain)),
            }
        )
    return rows


def simulate_calibration_error(n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Coverage of the interval of the calibration error, and its estimate."""
    logits = np.abs(1.5 + 1.5 * rng.normal(size=400_000))
    rows = []
    for size in (60, 200, 1000):
        for sharpness in (1.0, 1.4, 2.0, 0.67):
            stated = expit(logits * sharpness)
            bins = np.minimum((stated * 15).astype(int), 14)
            truth = np.abs(np.bincount(bins, stated - expit(logits), 15)).sum() / len(logits)
            covered, errors, plug_in = [], [], []
            for _ in range(n):
                some = rng.integers(0, len(logits), size)
                y = (rng.random(size) >= expit(logits[some])).astype(int)
                p = np.stack([stated[some], 1 - stated[some]], axis=1)
                found = measure_reliability(y, p, [0, 1], n_simulations=400)
                covered.append(found.error.low <= truth <= found.error.high)
                errors.append(found.error.value)
                plug_in.append(found.plug_in_error)
            rows.append(
                {
                    "images": size,
                    "logits_times": sharpness,
                    "true_error": float(truth),
                    "mean_plug_in": float(np.mean(plug_in)),
                    "mean_estimate": float(np.mean(errors)),
                    "coverage": float(np.mean(covered)),
                }
            )
    return rows


def simulate_shift(
    X: np.ndarray, y: np.ndarray, n: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Count false alarms for 200 cells from home, and alarms for darker ones."""
    names, features = describe_images(X)
    darker = describe_images((X * 0.93).astype(X.dtype))[1]
    codes = np.unique(y, return_inverse=True)[1]
    rows = []
    for size in (60, 120, 225, 450, 900):
        false, found = [], []
        for _ in range(n):
            order = rng.permutation(len(X))
            home, other = order[:size], order[size : size + 200]
            profile = ReferenceProfile.fit(names, features[home], codes[home], codes.max() + 1)
            false.append(profile.compare(features[other], codes[other]).shifted)
            found.append(profile.compare(darker[other], codes[other]).shifted)
        rows.append(
            {
                "home": size,
                "false_alarms": float(np.mean(false)),
                "told_if_7_percent_darker": float(np.mean(found)),
            }
        )
    return rows


def convolutional_techniques() -> dict[str, tuple[type, dict[str, Any]]]:
    """Small convolutional networks, whose scores differ by some points from seed to seed."""
    small = {
        "filters": (16, 32),
        "dense_units": 32,
        "convolutions": 1,
        "tta": "none",
        "standardize": False,
        "augmentation": None,
        "batch_norm": False,
        "schedule": None,
        "epochs": 10,
    }
    return {
        "base": (CellCNNClassifier, small),
        "base with other seeds": (CellCNNClassifier, small),
        "batch norm": (CellCNNClassifier, {**small, "batch_norm": True}),
        "fewer epochs": (CellCNNClassifier, {**small, "epochs": 7}),
    }


def perceptron_techniques() -> dict[str, tuple[type, dict[str, Any]]]:
    """Perceptrons on random projections of the pixels: quick, so that many studies are possible."""
    small = {"hidden_layer_sizes": (16,), "max_iter": 25, "learning_rate_init": 0.01}
    return {
        "base": (MLPClassifier, small),
        "base with other seeds": (MLPClassifier, small),
        "more epochs": (MLPClassifier, {**small, "max_iter": 50}),
        "fewer units": (MLPClassifier, {**small, "hidden_layer_sizes": (8,)}),
    }


def simulate_studies(
    X: np.ndarray,
    y: np.ndarray,
    techniques: dict[str, tuple[type, dict[str, Any]]],
    n: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Compare techniques in five folds of 600 cells; the truth is the mean over all studies."""
    gains: dict[str, list[list[np.ndarray]]] = {name: [] for name in techniques}
    units = []
    for number in range(n):
        some = rng.choice(len(X), 600, replace=False)
        folds = list(StratifiedKFold(5, shuffle=True, random_state=number).split(some, y[some]))
        correct = {}
        for name, (kind, params) in techniques.items():
            correct[name] = []
            for train, test in folds:
                clf = kind(**params, random_state=int(rng.integers(2**31 - 1)))
                clf.fit(X[some[train]], y[some[train]])
                correct[name].append((clf.predict(X[some[test]]) == y[some[test]]).astype(float))
        for name in techniques:
            pairs = zip(correct[name], correct["base"], strict=True)
            gains[name].append([a - b for a, b in pairs])
        units.append([test for _, test in folds])
        print("study", number, flush=True)
    rows = []
    for name in list(techniques)[1:]:
        truth = 0.0
        if name != "base with other seeds":
            truth = float(np.mean([np.mean([d.mean() for d in study]) for study in gains[name]]))
        found = [estimate_over_folds(d, u) for d, u in zip(gains[name], units, strict=True)]
        ends = np.array([astuple(one.interval())[1:] for one in found])
        means = [[fold.mean() for fold in study] for study in gains[name]]
        sizes = {"n_train": 480, "n_test": 120}
        tests = [corrected_resampled_ttest(m, **sizes) for m in means]
        rival = np.array([astuple(one.interval())[1:] for one in tests])
        rows.append(
            {
                "technique": name,
                "true_difference": truth,
                **{
                    key: {
                        "coverage": float(np.mean((e[:, 0] <= truth) & (truth <= e[:, 1]))),
                        "half_width": float(np.mean(np.diff(e))) / 2,
                        "p_at_most_0.05": float(np.mean(np.array(p) <= 0.05)),
                    }
                    for key, e, p in (
                        ("images and folds", ends, [one.p_value for one in found]),
                        ("folds", rival, [one.p_value for one in tests]),
                    )
                },
            }
        )
    return rows


def simulate_many_studies(X: np.ndarray, y: np.ndarray, n: int, seed: int) -> list[dict[str, Any]]:
    """Compare perceptrons in many studies."""
    rng = np.random.default_rng(seed)
    pixels = X.reshape(len(X), -1) / 255.0
    projected = pixels @ rng.normal(size=(pixels.shape[1], 60)) / np.sqrt(pixels.shape[1])
    scaled = (projected - projected.mean(axis=0)) / projected.std(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # they are stopped early on purpose
        return simulate_studies(scaled, y, perceptron_techniques(), n, rng)


def main() -> None:
    """Run all simulations, and write their file."""
    parser = _compare.data_parser(__doc__, "statistics")
    parser.add_argument("--n", type=int, default=300, help="repetitions of each simulation")
    parser.add_argument("--n-studies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with np.load(options.data) as arrays:
        X, y = arrays["X"], arrays["y"]
    rng = np.random.default_rng(options.seed)
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "statistics",
            "settings": {**vars(options), "data": options.data.name},
            "environment": environment(),
            "balanced accuracy with patients": simulate_balanced_accuracy(options.n, rng),
            "prediction sets for new patients": simulate_sets(options.n, rng),
            "temperature": simulate_temperature(options.n, rng),
            "calibration error": simulate_calibration_error(options.n, rng),
            "shift": simulate_shift(X, y, options.n, rng),
            "studies": simulate_studies(X, y, convolutional_techniques(), options.n_studies, rng),
            "studies of perceptrons": simulate_many_studies(X, y, options.n, options.seed),
        },
    )


if __name__ == "__main__":
    main()
