"""Download published data sets once and keep them."""

import os
import time
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pooch
import requests
from filelock import FileLock
from sklearn.utils import Bunch

from skcell._console import progress_bar
from skcell._data_home import find_home
from skcell._sklearn import Interval, Options, validate_params
from skcell.datasets._npz import load_npz
from skcell.exceptions import DownloadError

#: URL where BloodMNIST is published; an environment variable may name a mirror.
_URL = "https://zenodo.org/records/10519652/files"
_URL_VARIABLE = "SKCELL_BLOODMNIST_URL"

#: File name and MD5 checksum for each size, as listed in the medmnist package 3.0.2.
_FILES = {
    28: ("bloodmnist.npz", "7053d0359d879ad8a5505303e11de1dc"),
    64: ("bloodmnist_64.npz", "2b94928a2ae4916078ca51e05b6b800b"),
    128: ("bloodmnist_128.npz", "adace1e0ed228fccda1f39692059dd4c"),
    224: ("bloodmnist_224.npz", "b718ff6835fcbdb22ba9eacccd7b2601"),
}
_CLASSES = [
    "basophil",
    "eosinophil",
    "erythroblast",
    "immature granulocyte",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
]
_DESCR = """BloodMNIST: 17,092 microscope images of single blood cells, {size} x {size} pixels.

The cells are from people without infection, haematological or oncological disease, who received
no drug treatment when blood was drawn. The images are resized centre crops of 200 x 200 pixels.
There are eight classes; "immature granulocyte" combines myelocytes, metamyelocytes and
promyelocytes. The data are split into 11,959 training, 1,712 validation and 3,421 test images.
It is not published which cell is from which donor.

Licence: CC BY 4.0. Please cite

- Yang et al. (2023), MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical
  image classification. Scientific Data 10, 41.
- Acevedo et al. (2020), A dataset of microscopic peripheral blood cell images for development
  of automatic recognition systems. Data in Brief 30, 105474.

Source: {url}
"""
_TIMEOUT = 30  # seconds without a response
_BLOCK = 1 << 16


@validate_params(
    {
        "size": [Options(Integral, set(_FILES))],
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
        "n_retries": [Interval(Integral, 0, None, closed="left")],
        "delay": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_bloodmnist(
    size: Literal[28, 64, 128, 224] = 28,
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int | bool = True,
) -> Bunch:
    """Load BloodMNIST, blood cells of 8 classes; download it if necessary.

    =======   ==============================================
    Classes   8
    Images    17,092 (11,959 train, 1,712 val, 3,421 test)
    Pixels    RGB, uint8, 28, 64, 128 or 224 per side
    Licence   CC BY 4.0
    =======   ==============================================

    The file is checked against its published MD5 checksum. An interrupted download is resumed by
    the next call. Processes that request the file at the same time share one download.

    Parameters
    ----------
    size : {28, 64, 128, 224}, default=28
        Height and width of the images. The largest size takes 2.6 GB of memory.
    data_home : str or path-like, default=None
        The folder in which the file is kept. By default, it is the folder that the environment
        variable `SKCELL_DATA_HOME` names, or else the user's cache folder.
    download_if_missing : bool, default=True
        If False, raise an error instead of downloading the file.
    n_retries : int, default=3
        Number of retries if the connection fails.
    delay : float, default=1.0
        Seconds between retries.
    verbose : bool or int, default=True
        Whether to show a progress bar in a terminal.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        images : ndarray of shape (17092, size, size, 3)
            The images, of uint8.
        target : ndarray of shape (17092,)
            The class of each image, as an index into `target_names`.
        target_names : ndarray of shape (8,)
            The names of the classes.
        split : ndarray of shape (17092,)
            "train", "val" or "test", as published.
        DESCR : str
            Description of the data, their licence, and the papers to cite.

    Raises
    ------
    DownloadError
        If the file cannot be downloaded, or is not the published one. The message says how to
        download it manually.

    See Also
    --------
    load_npz : Load the file of another MedMNIST data set.
    make_cells : Generate synthetic cells, without a download.

    Notes
    -----
    The environment variable `SKCELL_BLOODMNIST_URL` can name a mirror: the URL of a folder with
    the published files, which is used instead of Zenodo.

    Examples
    --------
    >>> from skcell.datasets import fetch_bloodmnist
    >>> cells = fetch_bloodmnist(size=64)  # doctest: +SKIP
    >>> cells.images[cells.split == "train"].shape  # doctest: +SKIP
    (11959, 64, 64, 3)
    """
    name, md5 = _FILES[size]
    target = find_home(data_home) / name
    url = f"{os.environ.get(_URL_VARIABLE) or _URL}/{name}?download=1"
    if not _is_complete(target, md5):
        by_hand = f"Download {url} manually (MD5 {md5}), save it as {str(target)!r} and try again."
        if not download_if_missing:
            raise DownloadError(
                f"{str(target)!r} does not exist, or is not the published file, and "
                f"download_if_missing=False. {by_hand}"
            )
        try:
            _download(url, target, md5, n_retries=n_retries, delay=delay, verbose=bool(verbose))
        except (OSError, ValueError) as error:
            raise DownloadError(f"{name} could not be downloaded: {error}. {by_hand}") from error
    data = load_npz(target)
    data.target_names = np.array(_CLASSES)
    data.DESCR = _DESCR.format(size=size, url=url)
    return data


def _is_complete(file: Path, md5: str) -> bool:
    return file.exists() and pooch.file_hash(str(file), alg="md5") == md5


def _download(
    url: str, target: Path, md5: str, *, n_retries: int, delay: float, verbose: bool
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    downloader = _ResumingDownloader(target.with_name(f"{target.name}.part"), verbose)
    with FileLock(target.with_name(f".{target.name}.lock")):
        for tries_left in range(n_retries, -1, -1):
            try:
                pooch.retrieve(
                    url, f"md5:{md5}", target.name, str(target.parent), downloader=downloader
                )
                return
            except ValueError:  # wrong MD5; if two parts did not match, start again
                if not (downloader.resumed and tries_left):
                    raise
            except requests.RequestException:
                if not tries_left:
                    raise
                time.sleep(delay)


class _ResumingDownloader:
    """A pooch downloader that resumes where the last one stopped.

    The data received are kept in `part` until the file is complete. Then pooch checks the file,
    and only after this check gives it its final name.
    """

    def __init__(self, part: Path, verbose: bool):
        self.part = part
        self.verbose = verbose
        self.resumed = False

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        start = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            sent = response.headers.get("Content-Range", "")
            self.resumed = response.status_code == 206 and sent.startswith(f"bytes {start}-")
            if response.status_code == 416 and sent == f"bytes */{start}":
                self.resumed = True  # the file was complete already
            elif start and not self.resumed and response.status_code in (206, 416):
                self.part.unlink()  # not the beginning of this file
                return self(url, output_file, pooch)
            else:
                response.raise_for_status()
                self._save(response, start if self.resumed else 0)
        os.replace(self.part, output_file)

    def _save(self, response: requests.Response, start: int) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            open(self.part, "ab" if start else "wb") as file,
            progress_bar("Downloading", total, enabled=self.verbose, in_bytes=True) as advance,
        ):
            advance(start)
            for block in response.iter_content(_BLOCK):
                file.write(block)
                advance(len(block))
        if total is not None and self.part.stat().st_size != total:
            raise requests.ConnectionError("the connection was closed early")
