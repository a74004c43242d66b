"""Find what is wrong with a data set before anything is trained on it."""

from skcell import _lazy

__getattr__, __dir__, _names = _lazy.attach(
    __name__,
    submod_attrs={
        "_batches": ["Batches", "find_batches"],
        "_check": ["DatasetCheck", "check_dataset"],
        "_duplicates": ["Duplicates", "find_duplicates"],
        "_label_issues": ["LabelIssues", "find_label_issues"],
        "_left_out": ["predict_left_out"],
        "_findings": ["count_labels"],
        "_outliers": ["Outliers", "find_outliers"],
        "_page": ["describe_verdict", "show_check"],
        "_record": ["FINDING_COLUMNS", "Finding"],
        "_shortcuts": ["Shortcut", "find_shortcuts"],
        "_split": ["suggest_split"],
    },
)

#: Used by other parts of skcell, but not part of the public interface.
_INTERNAL = {
    "FINDING_COLUMNS",
    "count_labels",
    "describe_verdict",
    "predict_left_out",
    "show_check",
}

__all__ = sorted(set(_names) - _INTERNAL)
