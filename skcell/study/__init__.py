"""The study: named techniques, one cross-validation, one table."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "_data": ["StudyData", "load_study_data"],
        "_records": ["FoldResult", "RowResult"],
        "_row_search": ["save_search", "search_row"],
        "_rows": ["ROWS", "TRANSFER_ROWS", "Row", "choose_backbone", "find_rows", "load_rows"],
        "_result": ["StudyResult"],
        "_study": ["Study"],
    },
)
