"""A study compares named techniques by one cross-validation, in one table."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_data": ["StudyData", "load_study_data"],
        "_records": ["FoldResult", "TechniqueResult"],
        "_technique_search": ["save_search", "search_technique"],
        "_techniques": [
            "PLAIN_SETTINGS",
            "TECHNIQUES",
            "TRANSFER_TECHNIQUES",
            "Technique",
            "with_backbone",
            "resolve_techniques",
            "load_techniques",
        ],
        "_result": ["StudyResult"],
        "_study": ["Study"],
    },
)
