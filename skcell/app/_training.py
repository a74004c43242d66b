"""Train in a process of its own, by the command that a user could type."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from skcell._text import printable

#: Number of lines of output that are kept.
_KEPT = 200

#: What `train` says of both models on the same images.
_COMPARED = "the earlier model is right in"

_EPOCH = re.compile(r"epoch (\d+)/(\d+)")


class Training:
    """One training at a time, and what it said."""

    def __init__(self) -> None:
        self.out = Path()
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._command: list[str] = []

    @property
    def running(self) -> bool:
        """Whether a training runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def finished(self) -> bool:
        """Whether a training has ended with a model."""
        return self._process is not None and self._process.poll() == 0

    def start(self, folder: Path, table: Path, model: Path, out: Path) -> None:
        """Start the command; what it prints is collected."""
        if self.running:
            raise ValueError("A training runs already; wait for it, or stop it.")
        paths = [os.path.abspath(path) for path in (folder, table, model, out)]
        options = ["--labels", paths[1], "--skip-broken", "--from", paths[2], "-o", paths[3]]
        self._command = ["train", paths[0], *options]
        self._lines, self.out = deque(maxlen=_KEPT), out
        self._process = subprocess.Popen(
            [sys.executable, "-m", "skcell.cli", *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # Ctrl-C in the terminal is for the page; `stop` passes it on
        )
        threading.Thread(target=self._collect, args=(self._process,), daemon=True).start()

    def _collect(self, process: "subprocess.Popen[str]") -> None:
        lines = self._lines
        for line in process.stdout or ():
            lines.append(line.rstrip())
        process.wait()

    def stop(self) -> None:
        """Stop the training as Ctrl-C does: what it learned until then is kept and tested."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)

    def close(self) -> None:
        """Stop the training, and wait until it has written its model; a second Ctrl-C gives up."""
        if self._process is not None and self.running:
            self.stop()
            try:
                self._process.wait()
            except KeyboardInterrupt:
                self._process.terminate()

    def describe(self) -> dict[str, Any]:
        """Return state, progress and output; names of folders are left out."""
        if self._process is None:
            return {"state": "none"}
        lines = list(self._lines)
        epochs = [found for line in lines if (found := _EPOCH.search(line))]
        done, planned = map(int, epochs[-1].groups()) if epochs else (0, 0)
        state = "running" if self.running else "finished" if self.finished else "failed"
        lines = [printable(self._hide(line)) for line in lines]
        return {
            "state": state,
            "epoch": done,
            "epochs": planned,
            "command": printable(self._hide(shlex.join(["skcell", *self._command]))),
            "model": printable(self.out.name),
            "lines": lines,
            "compared": [line.removeprefix("- ") for line in lines if _COMPARED in line],
        }

    def _hide(self, line: str) -> str:
        """Leave out the folders of this machine."""
        for folder in {os.path.dirname(part) for part in self._command if os.path.isabs(part)}:
            line = line.replace(folder.rstrip(os.sep) + os.sep, "")
        return line
