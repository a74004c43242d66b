"""The container of a model: an uncompressed zip archive whose members are checked by hash.

Everything in it is data. Nothing is extracted to disk, and no member can be larger than the file.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skcell._files import replace_file
from skcell.exceptions import ModelFileError

#: Version of the format; a change that older versions of skcell cannot read increases it.
FORMAT = 1

MANIFEST = "skcell.json"
WEIGHTS = "weights.safetensors"
_PART = re.compile(r"part-\d{1,4}\.skops")

_MAX_JSON = 64 << 20  # bytes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same model makes the same file


def is_stored_zip(content: bytes) -> bool:
    """Return whether the members of a zip archive are stored uncompressed, each only once."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
    names = {info.filename for info in infos}
    return len(names) == len(infos) and all(
        info.compress_type == zipfile.ZIP_STORED
        and info.file_size == info.compress_size
        and not info.flag_bits & 0x1  # encrypted
        for info in infos
    )


def write_container(path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Write a container atomically.

    Parameters
    ----------
    path : Path
        The file.
    manifest : mapping
        Description of the model, as JSON.
    members : mapping of str to bytes
        The other members by name.
    """
    hashes = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
    }
    described = json.dumps({"format": FORMAT, **manifest, "members": hashes}, allow_nan=False)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: described.encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    replace_file(path, stream.getvalue())


def read_container(path: Path, *, manifest_only: bool = False) -> tuple[dict, dict[str, bytes]]:
    """Read and check a container.

    Parameters
    ----------
    path : Path
        The file.
    manifest_only : bool
        Whether to leave the other members unread.

    Returns
    -------
    manifest : dict
        Description of the model.
    members : dict of str to bytes
        The other members by name.

    Raises
    ------
    ModelFileError
        If the file is damaged, is not a model of skcell, or has a later format.
    OSError
        If the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size, manifest_only)
        except ModelFileError as error:
            raise ModelFileError(f"{path} cannot be loaded: {error}") from None
        except Exception as error:  # zipfile raises many kinds for damaged files
            raise ModelFileError(
                f"{path} is not a model of skcell, or it is damaged ({error}). Copy it again from "
                "where it was made; skcell.save writes such files."
            ) from error


def _read(file: Any, size: int, manifest_only: bool) -> tuple[dict, dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if MANIFEST not in names:
            raise ModelFileError(f"it is a zip archive without {MANIFEST}, not a model of skcell.")
        for info in infos:
            if info.filename not in (MANIFEST, WEIGHTS) and not _PART.fullmatch(info.filename):
                raise ModelFileError(f"it has a member {info.filename!r}, which no model has.")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
                raise ModelFileError(f"its member {info.filename!r} is compressed or encrypted.")
        total = sum(info.file_size for info in infos)
        if len(set(names)) < len(names) or total > size:
            raise ModelFileError("its members overlap.")
        if archive.getinfo(MANIFEST).file_size > _MAX_JSON:
            raise ModelFileError(f"{MANIFEST} is larger than {_MAX_JSON >> 20} MiB.")
        try:
            manifest = json.loads(archive.read(MANIFEST))
        except RecursionError:
            raise ModelFileError(f"{MANIFEST} is nested too deeply.") from None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
            raise ModelFileError(f"{MANIFEST} has no format number.")
        if manifest["format"] > FORMAT:
            raise ModelFileError(
                f"its format is {manifest['format']}, and this version of skcell reads formats up "
                f"to {FORMAT}. Install a newer skcell."
            )
        if manifest_only:
            return manifest, {}
        members = {name: archive.read(name) for name in names if name != MANIFEST}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    expected = {name: described["sha256"] for name, described in manifest["members"].items()}
    if hashes != expected:
        raise ModelFileError("its members are not those that were written; the file was changed.")
    return manifest, members
