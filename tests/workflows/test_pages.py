"""The commands that check and report, and their pages in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skcell import CellCNNClassifier, inspection, workflows
from skcell._images import decode_picture
from skcell.datasets import make_cells
from skcell.inspection import evaluate, make_card, make_page
from skcell.persistence import load, read_info, save

pytestmark = pytest.mark.thorough  # a browser, and whole trainings

HOSTILE = "<script>alert('x')</script>&"


def write(root, images, labels):
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / label / f"{i:03d}{HOSTILE.replace('/', '')}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory, run_here):
    """A folder of cells with hostile names, a model of them, and its report."""
    root = tmp_path_factory.mktemp("pages")
    cells = make_cells(220, n_classes=3, image_size=32, random_state=0)
    names = np.array(["normal", "a & b < c", "x" * 40])
    write(root / "cells", cells.images[:160], names[cells.target[:160]])
    later = cells.target[160:].copy()
    later[:9] = (later[:9] + 1) % 3  # so that something is wrong
    write(root / "later", cells.images[160:], names[later])
    trained = workflows.train(root / "cells", epochs=4)
    trained.save(root / "cells.skcell")
    done = run_here("evaluate", "cells.skcell", "later", "-o", "report.html", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "of 60 test images" in done.stdout
    return root


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    return found


def look(browser, page, folder, script="", *, width=1200, options=()):
    """Return the document after a script, and what the console said."""
    file = folder / "looked.html"
    text = page.read_text().replace("</body>", f"<script>(() => {{{script}}})();</script></body>")
    file.write_text(text)
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"),
        *("--disable-background-networking", "--no-first-run", "--enable-logging=stderr"),
        *(f"--window-size={width},900", *options),
    ]
    done = subprocess.run(
        [browser, *options, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


SEEN = "document.body.dataset.seen = JSON.stringify(%s);"


def seen(dom):
    found = re.search(r'data-seen="([^"]*)"', dom)
    assert found, "the script did not end"
    return json.loads(found[1].replace("&quot;", '"'))


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.scripts, self.ids, self.images = [], 0, [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.found += [v for k, v in attributes if k in ("src", "href")]
        self.scripts += tag == "script"
        self.ids += [given["id"]] if "id" in given else []
        if tag == "img":
            self.images.append(given)


PAGES = ["report.html", "cells-report/report.html"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file_with_names_as_text(place, name):
    text = (place / name).read_text()
    assert HOSTILE not in text
    assert "a & b < c" not in text
    links = Links()
    links.feed(text)
    assert links.scripts == 1, "the page's own"
    assert all(link.startswith(("data:image/", "#")) for link in links.found)
    assert {link[1:] for link in links.found if link.startswith("#")} <= set(links.ids)
    assert all(image["alt"] for image in links.images)
    assert len(text) < 10e6


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_in_a_browser(place, browser, tmp_path, name, width, scheme):
    script = SEEN % (
        "[document.body.scrollWidth <= window.innerWidth, "
        "[...document.querySelectorAll('.plot img')].every(i => i.naturalWidth > 300), "
        "document.querySelectorAll('h1').length, "
        "getComputedStyle(document.body).backgroundColor, "
        "getComputedStyle(document.querySelector('.plot img')).filter]"
    )
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    dom, console = look(browser, place / name, tmp_path, script, width=width, options=dark)
    fits, drawn, n_titles, colour, inverted = seen(dom)
    assert console == []
    assert fits, "nothing is wider than the window"
    assert drawn
    assert n_titles == 1
    assert (colour == "rgb(24, 24, 24)") == (scheme == "dark")
    assert (inverted != "none") == (scheme == "dark")


def test_an_image_is_enlarged_and_wrong_ones_are_filtered(place, browser, tmp_path):
    script = """
    const wrong = document.querySelector('#wrong');
    const button = wrong.querySelector('.enlarge'), dialog = document.querySelector('dialog');
    button.focus(); button.click();
    const open = [dialog.open, dialog.querySelectorAll('img').length,
                  dialog.querySelectorAll('dt').length, dialog.querySelector('h3').textContent,
                  document.activeElement.textContent];
    dialog.querySelector('button').click();
    const closed = dialog.open, figures = [...wrong.querySelectorAll('figure[data-group]')];
    const select = wrong.querySelector('select'), counts = [];
    for (const option of select.options) {
      select.value = option.value; select.dispatchEvent(new Event('change'));
      counts.push(figures.filter(f => !f.hidden).length);
    }
    const said = wrong.querySelector('.shown').textContent;
    """
    script += SEEN % "[open, closed, figures.length, counts, said]"
    dom, console = look(browser, place / "report.html", tmp_path, script)
    assert console == []
    opened, closed, n_all, counts, said = seen(dom)
    is_open, n_images, n_classes, title, focused = opened
    assert (is_open, n_images, n_classes, focused) == (True, 2, 3, "Close"), "image and map"
    assert ".png" in title
    assert not closed
    assert counts[0] == n_all > 0
    assert sum(counts[1:]) == 2 * n_all, "each under its true class, and its predicted one"
    assert said == f"{counts[-1]} shown"


def test_what_a_reader_must_know_comes_first_and_links_unfold_the_rest(place, browser, tmp_path):
    script = """
    const tiles = [...document.querySelectorAll('.tile dt')].map(t => t.textContent);
    const card = document.querySelector('#card'), folded = !card.open;
    location.hash = '#card';
    setTimeout(() => {
    """
    script += SEEN % "[tiles, folded, card.open]" + "}, 200);"
    options = ["--virtual-time-budget=2000"]
    dom, console = look(browser, place / "report.html", tmp_path, script, options=options)
    assert console == []
    tiles, folded, unfolded = seen(dom)
    assert tiles[:3] == ["Accuracy", "Worst class", "Calibration error"]
    assert {"Domain shift", "Data"} <= set(tiles)
    assert folded
    assert unfolded


def test_a_page_is_printed(place, browser, tmp_path):
    pdf = tmp_path / "report.pdf"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    page = (place / "report.html").as_uri()
    subprocess.run(
        [browser, *options, f"--print-to-pdf={pdf}", page], capture_output=True, timeout=120
    )
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    n_pages = len(re.findall(rb"/Type\s*/Page[^s]", content))
    assert 2 <= n_pages <= 6, "what is folded is not printed"


def test_the_report_says_what_is_known(place):
    text = (place / "report.html").read_text()
    for heading in (
        "Data checks",
        "Calibration and prediction sets",
        "Accuracy under image corruptions",
        "Explanation maps",
        "Model card",
        "Training",
    ):
        assert heading in text, heading
    assert "SHA-256" in text
    assert "to be filled in" in text
    assert "CLAIM 2024" in text


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["evaluate", "cells.skcell", "later", "-o", "report.txt"], "must end in .html"),
        (
            ["evaluate", "cells.skcell", "later", "-o", "later/report.html"],
            "inside the image folder",
        ),
        (["evaluate", "later", "later", "-o", "report.html"], "later"),
        (["check", "nothing"], "nothing"),
        (["check", "later", "-o", "check.pdf"], "must end in .html"),
        (["check", "later", "-o", "none/check.html"], "There is no folder 'none'"),
        (["check", "later", "--group-by-folder"], "no class folder has sub-folders"),
    ],
)
def test_requests_that_are_refused(place, arguments, match, run_here):
    done = run_here(*arguments, cwd=place)
    assert done.returncode == 2
    assert match in done.stderr.replace("\n", " ")


def test_images_of_the_training_are_not_a_test(place, tmp_path, run_here):
    """Images that the model was trained on are left out, whatever folder and file they are in."""
    test = read_info(place / "cells.skcell").training["test"]
    own = shutil.copytree(place / "cells", tmp_path / "own")
    for n, file in enumerate(sorted(own.rglob("*.png"))):
        file.rename(file.with_name(f"{n}.png"))
    n_test = test["n_images"]
    told = f"trained on {160 - n_test} of the 160 images; they are left out"
    for options in ([], ["-o", "own.html"]):
        done = run_here("evaluate", "cells.skcell", own, *options, cwd=place)
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
        assert f"of {n_test} test images" in done.stdout
    assert told in (place / "own.html").read_text()
    found, _ = workflows.evaluate_folder(load(place / "cells.skcell"), own)
    assert found.to_dict()["accuracy"] == test["accuracy"]
    other = run_here("evaluate", "cells.skcell", "later", cwd=place)
    assert "trained on" not in other.stdout

    for name in found.files:
        (own / name).unlink()
    done = run_here("evaluate", "cells.skcell", own, cwd=place)
    assert done.returncode == 2
    assert "trained on all" in done.stderr


def test_one_class_is_checked_and_evaluated_with_a_page(place, tmp_path, run_here):
    """A page has no other rule for a folder than the figures alone."""
    shutil.copytree(place / "later" / "normal", tmp_path / "one" / "normal")
    n = len(list((tmp_path / "one" / "normal").iterdir()))
    done = run_here("check", tmp_path / "one", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_here("evaluate", place / "cells.skcell", "one", "-o", "one.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"of {n} test images" in done.stdout
    assert "Data checks" in (tmp_path / "one.html").read_text()


def test_a_page_needs_a_group_for_every_image_and_says_so_first(place, tmp_path, run_here):
    (tmp_path / "groups.csv").write_text("file,group\n")
    arguments = ("--groups", tmp_path / "groups.csv", "-o", tmp_path / "test.html")
    done = run_here("evaluate", "cells.skcell", "later", *arguments, cwd=place)
    assert done.returncode == 2
    assert "has no line for 60 of 60 images" in done.stderr
    assert not (tmp_path / "test.html").exists()


def test_check_ends_with_an_error_for_what_invalidates_a_score(place, tmp_path, run_here):
    clean = run_here("check", "cells", "-o", tmp_path / "clean.html", cwd=place)
    assert clean.returncode == 0, clean.stdout
    shutil.copytree(place / "cells", tmp_path / "cells")
    for i, some in enumerate(sorted((tmp_path / "cells" / "normal").iterdir())[:2]):
        turned = Image.open(some).transpose(Image.Transpose.ROTATE_90)
        turned.save(tmp_path / "cells" / ("x" * 40) / f"copy{i}.png")
    done = run_here("check", "cells", "-o", "check.html", cwd=tmp_path)
    assert done.returncode == 1
    assert "of the same cell under two labels" in done.stdout
    assert "    and 2 more; -o writes all" in done.stdout
    assert "copy1.png" in (tmp_path / "check-findings.csv").read_text()
    assert "same cell under two labels" in (tmp_path / "check.html").read_text()


def test_check_does_not_overwrite_the_table_of_patients(place, tmp_path, run_here):
    table = tmp_path / "check.csv"
    files = sorted((place / "cells").rglob("*.png"))
    names = [file.relative_to(place / "cells") for file in files]
    lines = [f'"{name}",P{i % 9}' for i, name in enumerate(names)]
    table.write_text("\n".join(["file,group", *lines]))
    before = table.read_text()
    done = run_here("check", "cells", "--groups", table, "-o", tmp_path / "check.html", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert table.read_text() == before


def test_pictures_are_upright_and_16_bits_are_scaled(tmp_path):
    deep = np.linspace(0, 65535, 40 * 60).astype(np.uint16).reshape(40, 60)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    shown = decode_picture(str(tmp_path / "deep.png"), 320)
    assert shown.shape == (40, 60, 1)
    assert 100 < shown.mean() < 155
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by the camera
    image = Image.fromarray(np.full((20, 600, 3), 90, np.uint8))
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert decode_picture(str(tmp_path / "turned.jpg"), 320).shape == (320, 11, 3)


def test_the_card_leaves_blank_what_is_not_known(place, tmp_path):
    cells = make_cells(60, n_classes=2, image_size=24, random_state=0)
    clf = CellCNNClassifier(filters=(8,), dense_units=8, epochs=1, random_state=0)
    save(clf.fit(cells.images, cells.target), tmp_path / "plain.skcell")
    found = evaluate(clf, cells.images, cells.target)
    card = {
        item: known
        for _, items in make_card(read_info(tmp_path / "plain.skcell"), found, "x")
        for item, known in items
    }
    assert card["Level of the split"] == ""
    assert card["Number of images"] == ""
    assert card["Accuracy, with its 95 % interval"] == str(found.accuracy)
    known = {
        item: text
        for _, items in make_card(read_info(place / "cells.skcell"), found, "x")
        for item, text in items
    }
    assert known["Level of the split"].startswith("Image.")


def test_the_tested_model_is_explained_after_training_again(place):
    result = workflows.train(place / "cells", epochs=1, final=True)
    assert result.tested_model is not result.model
    files = [place / "cells" / name for name in result.evaluation.files]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    p = result.tested_model.predict_proba(images)
    assert np.allclose(p, result.evaluation.probabilities)
    assert not np.allclose(result.model.predict_proba(images), p)


def test_check_doubts_labels(place, tmp_path):
    shutil.copytree(place / "cells", tmp_path / "cells")
    moved = sorted((tmp_path / "cells" / "normal").iterdir())[:3]
    for file in moved:
        file.rename(tmp_path / "cells" / "a & b < c" / f"moved{file.name}")
    check = workflows.check_folder(tmp_path / "cells", label_issues=True)
    assert check.label_issues is not None
    told = [check.names[i] for i in check.label_issues.indices]
    assert len(told) < 60
    assert all(Path(tmp_path / "cells" / name).is_file() for name in told)


def test_the_page_stays_small_with_many_wrong_images(tmp_path):
    """20,000 images, none right: pictures are those of sixty, and of the frequent confusions."""
    cells = make_cells(60, n_classes=3, image_size=32, random_state=0)
    clf = CellCNNClassifier(filters=(8,), dense_units=8, epochs=1, random_state=0)
    clf.fit(cells.images, cells.target)
    save(clf, tmp_path / "model.skcell")
    files = []
    for i, image in enumerate(cells.images):
        files.append(f"{i}.png")
        Image.fromarray(image).resize((400, 400)).save(tmp_path / files[-1])
    many = np.arange(20_000) % 60
    wrong = (clf.predict(cells.images) + 1) % 3
    found = evaluate(clf, cells.images[many], wrong[many], files=[files[i] for i in many.tolist()])
    seen = inspection.make_figures(clf, found, cells.images[many], str(tmp_path))
    page = make_page(found, seen, title="many")
    assert len(seen.wrong) == 20_000
    assert len(page) < 10e6
    assert page.count("<figure data-group") < 200
