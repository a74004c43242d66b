"""The page on which images are labelled: its server, and in a browser."""

import csv
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import skcell
from skcell import CalibratedClassifier, CellCNNClassifier
from skcell.app import LabellingSession, make_app
from skcell.datasets import LabelTable, make_cells

HOSTILE = "<img src=x onerror=document.title='hacked'>.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """File of a small model of drawn cells of three classes."""
    cells = make_cells(150, n_classes=3, image_size=24, random_state=0)
    clf = CellCNNClassifier(filters=(8, 16), dense_units=16, epochs=4, random_state=0)
    names = np.array(cells.target_names)[cells.target]
    fitted = CalibratedClassifier(clf, random_state=0).fit(cells.images, names)
    path = tmp_path_factory.mktemp("app") / "small.skcell"
    skcell.save(fitted, path)
    return path


def write_images(folder, n=20):
    folder.mkdir()
    cells = make_cells(n, n_classes=3, image_size=24, random_state=1)
    for i, image in enumerate(cells.images):
        Image.fromarray(image).save(folder / f"cell-{i:02}.png")
    Image.fromarray(cells.images[0]).save(folder / HOSTILE)
    (folder / "broken.png").write_bytes(b"no image")


@pytest.fixture
def served(model, tmp_path):
    """A page that is served, and a function that asks it."""
    import uvicorn

    write_images(tmp_path / "cells")
    session = LabellingSession(
        model, tmp_path / "cells", tmp_path / "labels.csv", tmp_path / "better.skcell"
    )
    config = uvicorn.Config(None, port=0, log_level="warning", lifespan="off")
    listener = config.bind_socket()
    port = listener.getsockname()[1]
    config.app = make_app(session, "secret", port)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def ask(path, body=None, *, token="secret", host=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        given = {"Host": host or f"127.0.0.1:{port}", **headers}
        if body is not None and "Content-Type" not in given:
            given["Content-Type"] = "application/json"
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", f"/{token}/{path}", data, given)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        is_json = reply.headers.get_content_type() == "application/json"
        return SimpleNamespace(
            status=reply.status,
            headers=reply.headers,
            content=content,
            json=json.loads(content) if is_json else None,
        )

    yield SimpleNamespace(ask=ask, session=session, table=tmp_path / "labels.csv", root=tmp_path)
    server.should_exit = True
    thread.join(timeout=30)


def test_the_page_answers_its_own_address_alone(served):
    assert served.ask("").status == 200
    assert b"skcell" in served.ask("").content
    assert served.ask("", token="guess").status == 404
    assert served.ask("cells", host="evil.example:80").status == 404
    policy = served.ask("").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    for path in ("", "page.js", "cells", "cell/0", "picture/96/0", "labels.csv"):
        reply = served.ask(path)
        assert reply.status == 200, path
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert str(served.root).encode() not in reply.content
    change = {"index": 0, "label": "x", "expected": ""}
    assert served.ask("label", change, **{"Content-Type": "text/plain"}).status == 400
    assert served.ask("label", b"x" * 20_000).status == 413
    assert served.ask("label", b"{").status == 400
    assert served.ask("label", {**change, "index": 99}).status == 404
    assert served.ask("label", {**change, "label": "x" * 101}).status == 400
    assert served.ask("label", {**change, "label": "a\u202eb"}).status == 400
    assert served.ask("picture/5000/0").status == 404
    assert served.ask("picture/96/99").status == 404
    assert served.ask("../labels.csv").status == 404
    assert not served.table.exists()


def test_cells_are_described_and_shown(served):
    cells = served.ask("cells").json
    assert len(cells["names"]) == 21
    assert HOSTILE in cells["names"]
    assert any("broken.png cannot be used" in note for note in cells["notes"])
    assert set(cells["suggested"]) <= set(np.flatnonzero(~np.array(cells["unknown"])))
    found = served.session._loaded.assess(
        np.array([np.asarray(Image.open(served.root / "cells" / n)) for n in cells["names"]])
    )
    assert cells["predicted"] == found.labels.tolist()
    assert cells["probability"] == pytest.approx(found.probabilities.max(axis=1), abs=1e-4)
    one = served.ask("cell/3").json
    assert one["probabilities"][0]["class"] == cells["predicted"][3]
    assert one["set"] == [
        c for c, i in zip(cells["classes"], found.prediction_sets[3], strict=True) if i
    ]
    assert served.ask("explanation/3").json["picture"].startswith("data:image/jpeg;base64,")
    (served.root / "cells" / "cell-05.png").unlink()
    gone = served.ask(f"picture/96/{cells['names'].index('cell-05.png')}")
    assert gone.status == 404
    assert str(served.root) not in gone.json["error"]


def test_labels_are_saved_at_once_and_two_windows_are_safe(served):
    names = served.ask("cells").json["names"]
    at = names.index("cell-07.png")
    assert served.ask("label", {"index": at, "label": "a", "expected": ""}).json == {"version": 1}
    assert LabelTable(served.table).labels == {"cell-07.png": "a"}
    second = served.ask("label", {"index": at, "label": "b", "expected": ""})
    assert second.status == 409
    assert second.json["label"] == "a"
    assert LabelTable(served.table).labels == {"cell-07.png": "a"}
    # Another program writes to the table; the page learns of it.
    LabelTable(served.table).set(names[0], "c")
    found = served.ask("changes/1").json
    assert found["labels"] == {"0": "c"}
    assert served.ask("cells").json["classes"][-2:] == ["a", "c"]
    assert served.ask("label", {"index": at, "label": "", "expected": "a"}).status == 200
    assert LabelTable(served.table).labels == {names[0]: "c"}
    assert served.ask("labels.csv").content == served.table.read_bytes()
    lines = list(csv.DictReader(served.ask("predictions.csv").content.decode().splitlines()))
    assert lines[0]["label"] == "c"
    assert len(lines) == len(names)
    assert served.ask("cell/5").json["nearest"] == [{"index": 0, "label": "c"}]


def test_a_training_that_fails_is_reported(served):
    assert served.ask("training", {"action": "start"}).status == 400  # no label
    assert served.ask("training", {"action": "use"}).status == 400
    assert served.ask("report").status == 404
    served.ask("label", {"index": 0, "label": "a", "expected": ""})
    assert served.ask("training", {"action": "start"}).status == 200
    assert served.ask("training", {"action": "start"}).status == 400  # one runs
    for _ in range(120):
        found = served.ask("changes/0").json["training"]
        if found["state"] != "running":
            break
        time.sleep(0.5)
    assert found["state"] == "failed"
    assert "Error: " in "\n".join(found["lines"])
    assert found["command"].startswith("skcell train cells --labels labels.csv")
    assert str(served.root) not in json.dumps(found)


# In a browser


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.thorough
def test_label_reload_train_and_predict_in_a_browser(model, tmp_path, browser):
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    cells = make_cells(60, n_classes=3, image_size=24, random_state=2)
    (tmp_path / "cells").mkdir()
    truth = {}
    for i, image in enumerate(cells.images):
        name = HOSTILE if i == 0 else f"cell-{i:02}.png"
        Image.fromarray(image).save(tmp_path / "cells" / name)
        truth[name] = cells.target_names[cells.target[i]]
    command = [sys.executable, "-u", "-m", "skcell.cli", "app", model, "cells", "--no-browser"]
    with (tmp_path / "said.txt").open("w") as said:
        running = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said)
    try:
        for _ in range(240):
            address = re.search(r"http://127\S+", (tmp_path / "said.txt").read_text())
            if address or running.poll() is not None:
                break
            time.sleep(0.25)
        assert address, (tmp_path / "said.txt").read_text()
        page = browser.new_page()
        problems, asked = [], []
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address[0])
        page.wait_for_selector(".cell.current")
        keys = {name: str(k + 1) for k, name in enumerate(page.evaluate("cells.classes"))}
        labelled = {}
        for _ in range(54):
            name = page.evaluate("cells.names[order[at]]")
            labelled[name] = truth[name]
            page.keyboard.press(keys[truth[name]])
        page.evaluate("saving")
        assert LabelTable(tmp_path / "labels.csv").labels == labelled
        last = name
        page.keyboard.press("Control+z")
        page.evaluate("saving")
        assert LabelTable(tmp_path / "labels.csv").labels.keys() == labelled.keys() - {last}
        page.reload()
        page.wait_for_selector(".cell.current")
        assert page.text_content("#count") == "53 of 60 labelled"
        page.keyboard.press("Control+z")  # what was done before can be undone
        expect(page.locator("#count")).to_have_text("52 of 60 labelled")
        page.select_option("#show", "free")
        assert page.evaluate("order.length") == 8
        assert page.title() == "cells - skcell"
        # A second window sees what the first one does.
        other = browser.new_page()
        other.goto(address[0])
        other.wait_for_selector(".cell.current")
        page.keyboard.press("Enter")
        expect(other.locator("#count")).to_have_text("53 of 60 labelled")
        other.close()
        page.click("#open-training")
        page.click("#start")
        expect(page.locator("#stop")).to_be_visible()
        expect(page.locator("#stop")).to_be_hidden(timeout=240_000)
        assert page.locator("#use").is_visible(), page.text_content("#training")
        assert "the earlier model is right in" in page.text_content("#compared")
        page.click("#use")
        page.wait_for_selector("#training", state="hidden", timeout=60_000)
        assert page.text_content("#title") == "better.skcell on cells"
        assert page.evaluate("cells.labels.filter(Boolean).length") == 53
        assert problems == []
        assert all(url.startswith((address[0], "data:")) for url in asked)
        for width, scheme in ((1200, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        running.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        assert running.wait(timeout=60) == 0, (tmp_path / "said.txt").read_text()
    better = skcell.load(tmp_path / "better.skcell")
    assert {str(name) for name in better.classes_} == set(truth.values())
    assert not Path(tmp_path / "better-unfinished").exists()
