"""What the displays share."""

from typing import Any

#: Colours that people with any colour vision tell apart, and that differ in brightness, so that
#: they can be told apart in grey print as well (from the scheme "viridis").
GREYS = ("#440154", "#31688e", "#35b779", "#b5a614", "#7e3a8c", "#21918c", "#90793a", "#5a5a5a")


def new_axes(ax: Any, size: tuple[float, float]) -> Any:
    """Return the axes to draw on, on a new figure if there are none."""
    if ax is not None:
        return ax
    return new_figure(size).subplots()


def new_figure(size: tuple[float, float]) -> Any:
    """Return a new figure."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def legend_columns(n: int) -> int:
    """Return the number of columns of a legend beside the axes."""
    return 1 + (n - 1) // 16 if n else 1


def shorten(name: Any, most: int = 24) -> str:
    """Shorten a name for an axis; the middle is left out."""
    text = str(name)
    if len(text) > most:
        text = f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"
    # Dollars begin formulas, and matplotlib leaves labels that begin with "_" out of legends.
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text
