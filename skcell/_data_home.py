"""Find the folder for downloaded and computed data."""

import os
from pathlib import Path

import pooch

_HOME_VARIABLE = "SKCELL_DATA_HOME"


def find_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return `data_home`, or the folder that the environment names, or the user's cache folder."""
    home = Path(data_home or os.environ.get(_HOME_VARIABLE) or pooch.os_cache("skcell"))
    return home.expanduser()
