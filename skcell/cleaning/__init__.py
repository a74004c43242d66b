"""Find what is wrong with a data set before anything is trained on it."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_batches": ["Batches", "find_batches"],
        "_check": ["check_dataset"],
        "_duplicates": ["Duplicates", "find_duplicates"],
        "_label_issues": ["LabelIssues", "find_label_issues"],
        "_outliers": ["Outliers", "find_outliers"],
        "_record": ["DatasetCheck", "Finding"],
        "_shortcuts": ["Shortcut", "find_shortcuts"],
        "_split": ["suggest_split"],
    },
    internal={
        "_findings": ["count_labels"],
        "_left_out": ["predict_left_out"],
        "_page": ["describe_verdict", "show_check"],
        "_record": ["FINDING_COLUMNS"],
    },
)
