"""`python -m skcell.cli` is `skcell`."""

from skcell.cli import main

main()
