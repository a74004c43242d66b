"""`python -m skcell.cli` is `skcell`."""

from skcell.cli import main

if __name__ == "__main__":
    main()
