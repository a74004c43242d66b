"""The command line."""

from typing import Annotated

import typer

from skcell._version import __version__
from skcell.cli import _app, _check, _fields, _models, _predict, _study
from skcell.cli._common import settings

app = typer.Typer(
    help="Cell-image classification with the scikit-learn API.",
    epilog="With a folder of cells, begin with: skcell check cells/. Without one: skcell demo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # brackets in names are not markup
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skcell {__version__}")
        raise typer.Exit


@app.callback()
def _skcell(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error occurred.")
    ] = False,
) -> None:
    settings["debug"] = debug


app.command()(_fields.demo)
app.command(epilog=_fields.CROP_EPILOG)(_fields.crop)
app.command(epilog=_check.CHECK_EPILOG)(_check.check)
app.command(epilog=_models.TRAIN_EPILOG)(_models.train)
app.command(epilog=_predict.PREDICT_EPILOG)(_predict.predict)
app.command(epilog=_predict.COUNT_EPILOG)(_predict.count)
app.command(epilog=_predict.SUGGEST_EPILOG)(_predict.suggest)
app.command(epilog=_app.APP_EPILOG)(_app.app)
app.command(epilog=_models.EVALUATE_EPILOG)(_models.evaluate)
app.command(epilog=_models.ADAPT_EPILOG)(_models.adapt)
app.command()(_models.info)
app.command(epilog=_models.EXPORT_EPILOG)(_models.export)
app.command(epilog=_study.STUDY_EPILOG)(_study.study)
app.command(epilog=_study.SEARCH_EPILOG)(_study.search)


def main() -> None:
    """Run the command-line interface."""
    app()
