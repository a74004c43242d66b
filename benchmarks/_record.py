"""What every benchmark writes beside its figures: the machine, the versions, the moment."""

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

PACKAGES = ("skcell", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "keras", "tensorflow")


def environment(packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """Hardware and versions, without names of hosts, users or folders."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.system(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "ram_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "thread_pools": sorted(
            f"{pool['internal_api']} {pool['version'] or ''} {pool.get('architecture', '')} "
            f"x{pool['num_threads']}".replace("  ", " ")
            for pool in threadpool_info()
        ),
    }


def write(path: str | os.PathLike, payload: dict[str, Any]) -> Path:
    """Write `payload` as JSON to `path`, making its folder, and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(payload, indent=2) + "\n", encoding="utf-8")
    return path


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "skcell":
            return None
        from skcell import __version__  # run from a checkout that is not installed

        return __version__


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
