"""The folder for what is downloaded and computed."""

import os
from pathlib import Path

import pooch

_HOME_VARIABLE = "SKCELL_DATA_HOME"


def find_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Find the folder for what is kept: the one given, that of the environment, or the user's."""
    home = Path(data_home or os.environ.get(_HOME_VARIABLE) or pooch.os_cache("skcell"))
    return home.expanduser()
