"""What the README says is what the files say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_table_of_speed_is_made_from_the_files():
    command = [sys.executable, str(ROOT / "benchmarks" / "make_table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_files_that_are_linked_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {part.split(")")[0] for part in text.split("](")[1:]}
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
