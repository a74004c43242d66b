"""A study compares named techniques by one cross-validation, in one table."""

from skcell import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_data": ["load_study_data"],
        "_records": ["FoldResult", "TechniqueResult"],
        "_technique_search": ["search_technique"],
        "_techniques": [
            "PLAIN_SETTINGS",
            "TECHNIQUES",
            "TRANSFER_TECHNIQUES",
            "Technique",
            "load_techniques",
        ],
        "_result": ["StudyResult"],
        "_study": ["Study"],
    },
    internal={
        "_data": ["StudyData"],
        "_technique_search": ["save_search"],
        "_techniques": ["resolve_techniques", "with_backbone"],
    },
)
