"""The container of a model: an uncompressed zip archive whose members are checked by hash.

Everything in it is data. Nothing is extracted to disk, and no member can be larger than the file.
"""

import hashlib
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from skcell.exceptions import ModelFileError

#: Version of the format; a change that older versions of skcell cannot read increases it.
FORMAT = 1

MANIFEST = "skcell.json"
WEIGHTS = "weights.safetensors"
_PART = re.compile(r"part-\d{1,4}\.skops")

_MAX_JSON = 8 << 20  # bytes
_MAX_MEMBERS = 10_000
_MAX_DIRECTORY = 2 << 20  # bytes of the list of members
_END = struct.Struct("<4s4H2LH")  # the end of a zip archive
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


def pack_container(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """Make the content of a container."""
    hashes = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in members.items()
    }
    described = json.dumps({"format": FORMAT, **manifest, "members": hashes}, allow_nan=False)
    if len(described) > _MAX_JSON:
        raise ModelFileError(
            f"The description of the model is larger than {_MAX_JSON >> 20} MiB; pass less as "
            "`training`, and keep tables elsewhere."
        )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: described.encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return stream.getvalue()


def read_container(path: Path, *, manifest_only: bool = False) -> tuple[dict, dict[str, bytes]]:
    """Read and check a container."""
    if not path.is_file() and path.exists():  # a pipe would wait, and a device never end
        raise ModelFileError(f"{path} is no file, so it is not a model of skcell.")
    with open(path, "rb") as file:
        try:
            return unpack_container(file, os.fstat(file.fileno()).st_size, manifest_only)
        except ModelFileError as error:
            raise ModelFileError(f"{path} cannot be loaded: {error}") from None
        except Exception as error:  # zipfile raises many kinds for damaged files
            raise ModelFileError(
                f"{path} is not a model of skcell, or it is damaged ({error}). Copy it again from "
                "where it was made; skcell.save writes such files."
            ) from error


def unpack_container(
    file: BinaryIO, size: int, manifest_only: bool = False
) -> tuple[dict, dict[str, bytes]]:
    """Read and check the content of a container; see `read_container`."""
    _check_directory(file, size)
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
        if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
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


def _check_directory(file: BinaryIO, size: int) -> None:
    """Refuse a list of members that would take much memory, before it is read."""
    file.seek(max(0, size - _END.size - 0xFFFF))
    tail = file.read()
    start = tail.rfind(b"PK\x05\x06")
    if 0 <= start <= len(tail) - _END.size:
        *_, n_members, n_bytes, _, _ = _END.unpack_from(tail, start)
        if n_members > _MAX_MEMBERS or n_bytes > _MAX_DIRECTORY:
            raise ModelFileError("it has more members than any model.")
    file.seek(0)
