"""Accuracy on images that were not trained on, over the minutes that training took.

Every side trains on the same random part of the training images of `--data` (an `.npz` file with a
split), with schedules of several lengths, and is scored on all validation images. `seconds` is the
whole training in a new process, tracing included, without imports and without the scoring.

- "plain call" is `CellCNNClassifier()`; "symmetries" the same with `augmentation="symmetries"`,
  which knows no other light or stain, as the rivals do not.
- "torch, same network" is that network written by hand: channels last, fused Adam, a one-cycle
  learning rate of the same maximum, batch 32, and mirror images and quarter turns of whole batches.
- "torch, ResNet-18" is trained in the same way, from random weights.
- "frozen features" are those of MobileNetV2 (0.35) with ImageNet weights, then logistic regression.

A run whose time can be foreseen to be longer than `--limit` is left out, as the file then says.

    python benchmarks/bench_time_to_accuracy.py --data pbc_96.npz --weights mobilenet_v2.weights.h5
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _compare
import numpy as np

#: Passes over the training images.
LENGTHS = (5, 10, 20)
N_CLASSES = 8

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Found = dict[str, float]


def skcell(data: Data, seed: int, epochs: int, augmentation: str = "microscope") -> Found:
    from skcell import CellCNNClassifier

    X, y, X_val, y_val = data
    clf = CellCNNClassifier(augmentation=augmentation, epochs=epochs, random_state=seed)
    began = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accuracy": float((clf.predict(X_val) == y_val).mean())}


def symmetries(data: Data, seed: int, epochs: int) -> Found:
    return skcell(data, seed, epochs, "symmetries")


def frozen(data: Data, seed: int, weights: str) -> Found:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skcell import ImageFeatures

    X, y, X_val, y_val = data
    model = make_pipeline(
        ImageFeatures("mobilenet_v2_0.35", weights=weights, cache=False),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1000),
    )
    began = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "accuracy": float(model.score(X_val, y_val))}


def same_network() -> Any:
    """Write the network of the plain call at 96 pixels in torch."""
    from torch import nn

    parts: list[Any] = [nn.InstanceNorm2d(3, eps=1e-4)]
    channels = 3
    for stage, filters in enumerate((32, 64, 128)):
        for i in range(2):
            strides = 2 if stage == i == 0 else 1
            parts.append(nn.Conv2d(channels, filters, 3, strides, 1, bias=False))
            parts += [nn.BatchNorm2d(filters), nn.ReLU() if i == 0 else nn.MaxPool2d(2)]
            channels = filters
        parts.append(nn.ReLU())
    parts += [nn.Flatten(), nn.Linear(6 * 6 * 128, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(128, N_CLASSES))


def resnet_18() -> Any:
    """Write ResNet-18 in torch."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, n_in: int, n_out: int, stride: int):
            super().__init__()
            self.branch = nn.Sequential(
                nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
                nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False),
                nn.BatchNorm2d(n_out),
            )
            self.shortcut: Any = nn.Identity()
            if stride != 1 or n_in != n_out:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
                )

        def forward(self, x: Any) -> Any:
            return (self.branch(x) + self.shortcut(x)).relu()

    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    blocks: list[Any] = []
    channels = 64
    for stage, filters in enumerate((64, 128, 256, 512)):
        for i in range(2):
            blocks.append(Block(channels, filters, 2 if stage and i == 0 else 1))
            channels = filters
    top = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, N_CLASSES)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *top)


def torch(data: Data, seed: int, epochs: int, make: Any, largest_rate: float) -> Found:
    import torch
    from torch import nn

    X, names, X_val, names_val = data
    classes, y = np.unique(names, return_inverse=True)

    def load(images: np.ndarray) -> Any:
        # (n, H, W, C) seen as (n, C, H, W) is channels-last memory without a copy.
        return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    net = make().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=largest_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, largest_rate, total_steps=epochs * (len(X) // 32)
    )
    net.train()
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X) - 31, 32):
            batch = order[start : start + 32]
            x = torch.rot90(load(X[batch]), int(rng.integers(4)), (2, 3))
            x = x.flip(3) if rng.random() < 0.5 else x
            optimizer.zero_grad(set_to_none=True)
            out = net(x.contiguous(memory_format=torch.channels_last))
            nn.functional.cross_entropy(out, torch.from_numpy(y[batch])).backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - began
    net.eval()
    with torch.no_grad():
        p = [net(load(X_val[i : i + 128])).argmax(1).numpy() for i in range(0, len(X_val), 128)]
    return {"seconds": seconds, "accuracy": float((classes[np.concatenate(p)] == names_val).mean())}


SIDES = {
    "plain call": skcell,
    "symmetries": symmetries,
    "torch, same network": lambda *a: torch(*a, same_network, 3e-3),
    "torch, ResNet-18": lambda *a: torch(*a, resnet_18, 2e-3),
    "frozen features": frozen,
}


def main() -> None:
    parser = _compare.data_parser(__doc__, "time_to_accuracy_96")
    parser.add_argument("--weights", required=True, help="of MobileNetV2 (0.35), without its top")
    parser.add_argument("--n", type=int, default=3000, help="training images")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS))
    parser.add_argument("--limit", type=float, default=400, help="seconds of one run")
    parser.add_argument("--child", nargs=3, help="side, seed and epochs: run one, and print it")
    options = parser.parse_args()
    if options.child:
        side, seed, epochs = options.child[0], int(options.child[1]), int(options.child[2])
        with np.load(options.data) as arrays:
            X, y, split = arrays["X"], arrays["y"], arrays["split"]
        order = np.random.default_rng(seed).permutation(np.flatnonzero(split == "train"))
        chosen, val = order[: options.n], split == "val"
        last = options.weights if side == "frozen features" else epochs
        print(json.dumps(SIDES[side]((X[chosen], y[chosen], X[val], y[val]), seed, last)))
        return
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for side in SIDES:
            seconds_per_epoch = 0.0
            for epochs in [1] if side == "frozen features" else options.lengths:
                run: dict[str, Any] = {"side": side, "seed": seed, "epochs": epochs}
                if seconds_per_epoch * epochs > options.limit:
                    run["left_out"] = f"would take {seconds_per_epoch * epochs:.0f} s"
                else:
                    child = ["--child", side, str(seed), str(epochs)]
                    command = [sys.executable, __file__, *sys.argv[1:], *child]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    run |= json.loads(done.stdout.splitlines()[-1])
                    seconds_per_epoch = run["seconds"] / epochs
                runs.append(run)
                print(run, flush=True)
    from skcell._environment import environment

    _compare.write(
        Path(__file__).parent / "results" / f"{options.name}.json",
        {
            "benchmark": options.name,
            "settings": {"n": options.n, "seeds": options.seeds, "limit": options.limit},
            "environment": environment(("torch",)),
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
