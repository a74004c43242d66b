"""Counts of planted mixtures: errors of the shares, and how often their intervals contain them.

`--data` is as in bench_laboratories.py. A calibrated plain call is trained on some training images.
From the others, and from those of simulated laboratories (_laboratories.py), samples with random
class shares are drawn and counted. Elsewhere, the classifier is first adapted to 300 images, and
calibrated by 32 others with labels.

"counted" are the shares of predicted classes, "corrected" those of `estimate_shares`, and "EM"
those of Saerens (2002), by the calibrated probabilities.

    python benchmarks/bench_shares.py --data cells.npz
"""

import warnings
from pathlib import Path
from typing import Any

import _compare
import numpy as np
from _laboratories import make_laboratory


def em(probabilities: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Adjust the shares of classes to probabilities that were estimated under others."""
    shares = prior
    for _ in range(200):
        posterior = probabilities * (shares / prior)
        shares = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def measure(model: Any, X: Any, codes: Any, options: Any, seed: int) -> dict[str, Any]:
    """Count samples of images with planted shares."""
    from skcell.calibration import estimate_shares

    rng = np.random.default_rng(seed)
    p = model.predict_proba(X)
    predicted, n_classes = p.argmax(axis=1), p.shape[1]
    prior = np.bincount(model.sets_.codes, minlength=n_classes) + 0.5
    prior = prior / prior.sum()
    by_class = [np.flatnonzero(codes == code) for code in range(n_classes)]
    errors: dict[str, list[float]] = {"counted": [], "corrected": [], "EM": []}
    covered: list[bool] = []
    for _ in range(options.samples):
        shares = rng.dirichlet(np.full(n_classes, 0.5))
        drawn = rng.choice(n_classes, options.n, p=shares)
        some = np.array([rng.choice(by_class[code]) for code in drawn])
        found = estimate_shares(predicted[some], model.predicted_, model.sets_.codes, n_classes)
        counted = np.bincount(predicted[some], minlength=n_classes) / options.n
        values = {"counted": counted, "corrected": np.array([one.value for one in found])}
        values["EM"] = em(p[some], prior)
        for name, value in values.items():
            errors[name].append(float(np.abs(value - shares).mean()))
        covered += [one.low <= share <= one.high for one, share in zip(found, shares, strict=True)]
    return {
        "accuracy": float((predicted == codes).mean()),
        "held_out": len(model.predicted_),
        "coverage": float(np.mean(covered)),
        "mean_absolute_error": {name: float(np.mean(values)) for name, values in errors.items()},
    }


def main() -> None:
    from skcell import CalibratedClassifier, CellCNNClassifier
    from skcell._environment import environment

    parser = _compare.data_parser(__doc__, "shares")
    parser.add_argument("--n-train", type=int, default=3000)
    parser.add_argument("--n", type=int, default=200, help="images of a sample")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    X, y = _compare.load(options.data, options.image_size)["train"]
    order = np.random.default_rng(options.seed).permutation(len(y))
    train, rest = order[: options.n_train], order[options.n_train :]
    model = CalibratedClassifier(CellCNNClassifier(random_state=options.seed), random_state=0)
    model.fit(X[train], y[train])
    codes = np.searchsorted(model.classes_, y)
    places = {"same source": measure(model, X[rest], codes[rest], options, 0)}
    print(places, flush=True)
    for number in range(3):
        take, _ = make_laboratory(100 + number)
        unlabelled, labelled, others = np.split(rest[:3000], [300, 332])
        adapted = model.adapt(take(X[unlabelled]), take(X[labelled]), y[labelled])
        found = measure(adapted, take(X[others]), codes[others], options, number)
        places[f"simulated laboratory {number + 1}, 32 labels"] = found
        print(found, flush=True)
    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": "shares",
            "settings": {k: getattr(options, k) for k in ("n_train", "n", "samples", "seed")},
            "environment": environment(),
            "places": places,
        },
    )


if __name__ == "__main__":
    main()
