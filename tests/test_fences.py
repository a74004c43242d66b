"""Private parts of libraries are imported in one module for each library, and nowhere else."""

import ast
from pathlib import Path

import skcell

ROOT = Path(skcell.__file__).parent


def imports(file):
    """Yield each name that a module imports, with the modules that it lies in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ([*node.module.split("."), alias.name] for alias in node.names)


def is_private(parts):
    of_library = parts[0] != "skcell"
    hidden = any(p.startswith("_") and not p.startswith("__") for p in parts) or "src" in parts
    return of_library and hidden


def test_private_parts_of_libraries_stay_behind_fences():
    found = {}
    for file in ROOT.rglob("*.py"):
        for parts in filter(is_private, imports(file)):
            found.setdefault(file.relative_to(ROOT).as_posix(), set()).add(parts[0])
    assert found == {"_sklearn.py": {"sklearn"}, "_keras.py": {"keras"}}


def test_scikeras_is_touched_in_one_module():
    touching = {
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        if any(parts[0] == "scikeras" for parts in imports(file))
    }
    assert touching == {"classifiers/_scikeras.py"}
