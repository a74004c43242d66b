"""Describe the hardware and the package versions that results were computed with."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib

from skcell._version import __version__

_PACKAGES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "keras", "scikeras")


def environment(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Describe the machine and the software, without names of hosts, users or folders."""
    backend = _backend()
    return {
        "python": platform.python_version(),
        "platform": platform.system(),
        "cpu": _cpu(),
        "cores": joblib.cpu_count(),
        "ram_gib": _ram_gib(),
        "backend": backend,
        "devices": _devices(backend),
        "dtype_policy": _dtype_policy(backend),
        "versions": {
            "skcell": __version__,
            **{name: _version(name) for name in (*_PACKAGES, backend, *packages)},
        },
    }


def software() -> dict[str, str | None]:
    """Return the software that results depend on, for the keys of stored results."""
    backend = _backend()
    packages = ("scikit-learn", "imbalanced-learn", "keras", backend)
    return {
        "backend": backend,
        "dtype_policy": _dtype_policy(backend),
        "skcell": __version__,
        **{p: _version(p) for p in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _backend() -> str:
    """Return the name of the Keras backend, without importing Keras."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "config"):
        return str(keras.config.backend())  # type: ignore[union-attr] # hasattr is no narrowing
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def _devices(backend: str) -> list[str] | None:
    module = sys.modules.get(backend)
    if module is None:
        return None
    if backend == "tensorflow":
        gpus = module.config.list_physical_devices("GPU")
        details = [module.config.experimental.get_device_details(gpu) for gpu in gpus]
        return [str(detail.get("device_name", "GPU")) for detail in details]
    if backend == "jax":
        return [d.device_kind for d in module.devices() if d.platform != "cpu"]
    if backend == "torch":
        return [module.cuda.get_device_name(i) for i in range(module.cuda.device_count())]
    return None


def _dtype_policy(backend: str) -> str | None:
    if backend not in sys.modules:
        return None
    from skcell._machine import choose_dtype_policy  # imports Keras and the backend

    return choose_dtype_policy()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.machine())
    except OSError:
        pass
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.stdout.strip():
            return found.stdout.strip()
    return platform.processor() or platform.machine()


def _ram_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None
