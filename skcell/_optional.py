"""Import optional dependencies."""

from importlib import import_module
from types import ModuleType

from skcell.exceptions import MissingExtraError


def import_optional(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra of skcell to install.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        The extra of skcell that installs it.
    purpose : str
        What needs the module, as the start of a sentence: "LZW-compressed TIFF".

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {module.split('.')[0]!r}, which is not installed. "
            f"Install it with: pip install 'skcell[{extra}]'"
        ) from error
