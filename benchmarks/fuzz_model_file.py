"""Load many mutated model files, and count how each of them ends.

A file may be refused with `ModelFileError`, or load as a model. Everything else is a failure: other
errors, more than ten seconds, or more memory than a good file needs by 500 MiB. Half of the files
have changed bytes; the others have changed values in their JSON and right hashes, as if somebody
meant harm:

    python benchmarks/fuzz_model_file.py --n 20000
"""

import argparse
import copy
import hashlib
import io
import json
import resource
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import _compare
import numpy as np

_STRANGE = [
    None,
    True,
    -1,
    0,
    1,
    3,
    10**6,
    10**12,
    10**30,
    1e300,
    -0.5,
    "",
    "x",
    "../x",
    "os.system",
    "sklearn.base.clone",
    [],
    [[]],
    {},
    {"kind": "tuple", "items": [1, 2]},
    {"kind": "again", "number": 0},
    {"kind": "part", "index": 99},
    {"kind": "array", "name": "array-0"},
    {"kind": "sklearn", "module": "sklearn.svm._classes", "class": "SVC", "state": []},
]


def change_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, delete, insert or repeat a few bytes."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place, kind = int(rng.integers(len(changed))), rng.integers(5)
        if kind == 0:
            changed[place] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del changed[place : place + int(rng.integers(1, 50))]
        elif kind == 2:
            changed[place:place] = rng.bytes(int(rng.integers(1, 50)))
        elif kind == 3:
            changed[place:place] = changed[place : place + int(rng.integers(1, 200))]
        else:
            changed[place : place + 4] = b"\xff\xff\xff\x7f"
        if not changed:
            return b""
    return bytes(changed)


def change_values(content: bytes, rng: np.random.Generator) -> bytes:
    """Change values in the JSON, and make the hashes right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("skcell.json"))
    for _ in range(int(rng.integers(1, 4))):
        _change_one(manifest, rng)
    if rng.integers(4) == 0:
        name = list(members)[int(rng.integers(len(members)))]
        members[name] = change_bytes(members[name], rng)
    manifest = manifest if isinstance(manifest, dict) else {}
    manifest["members"] = {
        name: {"bytes": len(member), "sha256": hashlib.sha256(member).hexdigest()}
        for name, member in members.items()
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("skcell.json", json.dumps(manifest))
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


def _change_one(tree: Any, rng: np.random.Generator) -> None:
    """Walk to a random value, and replace, delete or duplicate it."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(node[key], (dict, list)) and node[key] and rng.integers(8):
            node = node[key]
            continue
        kind = rng.integers(4)
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        else:
            node[key] = copy.deepcopy(_STRANGE[int(rng.integers(len(_STRANGE)))])
        return


def main() -> None:
    import skcell
    from skcell._environment import environment
    from skcell.datasets import make_cells
    from skcell.exceptions import ModelFileError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cells = make_cells(120, n_classes=3, image_size=16, random_state=0)
    clf = skcell.CellCNNClassifier(filters=(4, 8), dense_units=8, epochs=1, random_state=0)
    model = skcell.make_pipeline(skcell.ImageSMOTE(random_state=0), clf)
    model = skcell.CalibratedClassifier(model, random_state=0)
    model.fit(cells.images, cells.target_names[cells.target])
    rng = np.random.default_rng(options.seed)
    ends: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skcell")
        skcell.save(model, path)
        content = path.read_bytes()
        skcell.load(path).predict(cells.images[:4])
        at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(options.n):
            mutated = (change_values if i % 2 else change_bytes)(content, rng)
            path.write_bytes(mutated)
            began = time.perf_counter()
            try:
                skcell.load(path)
            except ModelFileError:
                ends["refused"] += 1
            except Exception as error:  # what must not happen
                ends[f"failed: {type(error).__name__}"] += 1
                print(i, repr(error)[:300], flush=True)
            else:
                ends["loaded"] += 1
            seconds = time.perf_counter() - began
            if seconds > 10:
                ends["slow"] += 1
                print(i, f"{seconds:.1f} s", flush=True)
            slowest = max(slowest, seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first
    result = {
        "benchmark": "fuzz_model_file",
        "settings": vars(options),
        "environment": environment(),
        "ends": dict(ends),
        "slowest_seconds": slowest,
        "more_memory_mib": memory / 1024,
    }
    print(result)
    _compare.write(Path(__file__).parent / "results" / "fuzz_model_file.json", result)


if __name__ == "__main__":
    main()
