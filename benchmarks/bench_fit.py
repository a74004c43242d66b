"""One long fit of the base CNN: skcell, plain Keras, and skorch with channels-last torch.

All train the same network on the same uint8 images in memory, batch 64, Adam, float32.
`seconds_per_epoch` is the median over the epochs after the first, which pays for tracing;
`images_per_second` follows from it. `seconds` is the whole fit.
"""

import statistics
import time

import _compare
from _rivals import N_CLASSES, images, keras_cnn, stopwatch


def result(n: int, epochs: list[float], seconds: float) -> dict[str, float]:
    """Summarise the epochs of one fit."""
    per_epoch = statistics.median(epochs[1:])
    return {
        "seconds_per_epoch": per_epoch,
        "images_per_second": n / per_epoch,
        "seconds": seconds,
        "peak_rss_mib": _compare.peak_rss() / 2**20,
    }


def skcell(n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    from skcell import CellCNNClassifier

    X, y = images(n, size, seed)
    watch = stopwatch()
    clf = CellCNNClassifier(epochs=epochs, batch_size=64, callbacks=[watch], random_state=seed)
    began = time.perf_counter()
    clf.fit(X, y)
    return result(n, watch.seconds, time.perf_counter() - began)


def keras(n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    X, y = images(n, size, seed)
    watch = stopwatch()
    began = time.perf_counter()
    keras_cnn(size).fit(X, y, epochs=epochs, batch_size=64, callbacks=[watch], verbose=0)
    return result(n, watch.seconds, time.perf_counter() - began)


def skorch(n: int, size: int, epochs: int, seed: int) -> dict[str, float]:
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import PassthroughScoring
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            blocks, before, side = [], 3, size
            for filters in (32, 64, 128):
                blocks += [nn.Conv2d(before, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
                before, side = filters, side // 2
            dense = [nn.Linear(side * side * before, 128), nn.ReLU(), nn.Linear(128, N_CLASSES)]
            self.layers = nn.Sequential(*blocks, nn.Flatten(), *dense)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # (n, H, W, C) seen as (n, C, H, W) is channels-last memory without a copy.
            return self.layers(x.permute(0, 3, 1, 2).float() / 255)

    X, y = images(n, size, seed)
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        Net().to(memory_format=torch.channels_last),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=64,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[("train_acc", PassthroughScoring("train_loss", on_train=True))],
    )
    began = time.perf_counter()
    net.fit(X, y)
    seconds = time.perf_counter() - began
    return result(n, [row["dur"] for row in net.history], seconds)


if __name__ == "__main__":
    _compare.compare(
        __file__,
        __doc__,
        {"skcell": skcell, "keras": keras, "skorch": skorch},
        {"n": 3000, "size": 96, "epochs": 4, "seed": 0},
        packages=("torch", "skorch"),
    )
