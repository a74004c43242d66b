"""Errors and warnings of skcell; each message says what to do next."""


class SkcellError(Exception):
    """Base class of all errors that skcell defines."""


class ImageReadError(SkcellError, ValueError):
    """Raised if image files cannot be read; one error covers all of them.

    Attributes
    ----------
    failures : dict of str to str
        The reason for each file, keyed by path.
    problem, remedy : str
        The two parts of the message: what is wrong, and what to do in Python.
    """

    def __init__(self, problem: str, failures: dict[str, str] | None = None, remedy: str = ""):
        super().__init__(f"{problem}\n{remedy}" if remedy else problem)
        self.failures, self.problem, self.remedy = dict(failures or {}), problem, remedy

    def __reduce__(self) -> tuple:
        """Keep the parts when the error is passed between processes."""
        return type(self), (self.problem, self.failures, self.remedy)


class DownloadError(SkcellError, OSError):
    """Raised if a file cannot be downloaded or does not match its checksum."""


class MissingExtraError(SkcellError, ImportError):
    """Raised if an optional dependency is missing; the message names the extra to install."""


class ImageReadWarning(UserWarning):
    """Issued if image files are skipped because they cannot be read."""


class DuplicateImageWarning(UserWarning):
    """Issued if the same image occurs more than once, in a way that biases a score."""


class PixelRangeWarning(UserWarning):
    """Issued if pixel values lie in a range that the estimator does not scale."""


class AdaptationWarning(UserWarning):
    """Issued if a classifier is adapted to images that may make it worse."""


class ModelFileError(SkcellError, ValueError):
    """Raised if a model cannot be stored in a file, or a file holds no model that can be loaded."""
