"""Pages that open from disk: one file each, without links to others."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from skcell._text import printable


def render(package: str, template: str, **values: Any) -> str:
    """Fill in a template; all values are text, never markup.

    Parameters
    ----------
    package : str
        Package that holds the template.
    template : str
        Name of the template, which may extend ``base.html.jinja``.
    **values : object
        What is filled in.

    Returns
    -------
    str
        The page.
    """
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader("skcell._pages", ".")])
    pages = Environment(loader=loader, autoescape=True)
    return printable(pages.get_template(template).render(**values))
