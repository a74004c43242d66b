"""Errors and warnings of skcell; each message says what to do next."""


class SkcellError(Exception):
    """Base of all errors that are skcell's own."""


class ImageReadError(SkcellError, ValueError):
    """Image files that cannot be read, all named in one message.

    Attributes
    ----------
    failures : dict of str to str
        The reason for each file, keyed by path.
    """

    def __init__(self, message: str, failures: dict[str, str] | None = None):
        super().__init__(message)
        self.failures = dict(failures or {})

    def __reduce__(self) -> tuple:
        """Keep `failures` when the error crosses processes."""
        return type(self), (str(self), self.failures)


class DownloadError(SkcellError, OSError):
    """A file that could not be fetched or did not match its checksum."""


class MissingExtraError(SkcellError, ImportError):
    """An optional dependency is absent; the message names the extra to install."""


class ImageReadWarning(UserWarning):
    """Image files were skipped because they could not be read."""


class DuplicateImageWarning(UserWarning):
    """The same image is there more than once, in a way that falsifies a score."""


class PixelRangeWarning(UserWarning):
    """Pixel values lie in a range that the estimator will not scale."""
