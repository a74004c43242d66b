"""Pages that open from disk: one file each, without links to others."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from skcell._pages._pictures import LARGEST, png_uri, to_data_uri, to_picture
from skcell._text import printable

__all__ = ["LARGEST", "png_uri", "render", "to_data_uri", "to_picture"]


def render(package: str, template: str, **values: Any) -> str:
    """Fill in a template; all values are text, never markup."""
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader("skcell._pages", ".")])
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return printable(pages.get_template(template).render(**values))
