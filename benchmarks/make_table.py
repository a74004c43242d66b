"""Write the tables of the documentation from the files in results/.

`--check` only says whether the tables there are those of the files.
"""

import argparse
import json
import statistics
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skcell.calibration._shift import expect_kept

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
SHIFT = DOCS / "domain_shift.md"


def load(name: str) -> dict[str, Any]:
    """Read the results of one benchmark."""
    return json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))


def times(name: str, side: str, key: str) -> float:
    """Rival's median over ours."""
    medians = load(name)["medians"]
    return medians[side][key] / medians[next(iter(medians))][key]


def rows() -> list[tuple[str, str, str, str]]:
    """Return what was done, the rival, the result, and the file, for each row."""
    table = []

    def add(work: str, rival: str, result: str, name: str) -> None:
        table.append((work, rival, result, f"[{name}](../benchmarks/results/{name}.json)"))

    works = {
        "recommended": "CNN, batch norm, symmetries",
        "composite": "three composite blocks",
    }
    for work, size in (("recommended", 96), ("recommended", 28), ("composite", 96)):
        name = f"fit_{work}_{size}"
        runs, medians = load(name)["runs"], load(name)["medians"]
        rivals = {"the same model, Keras' own `fit`": ["keras"]}
        if "torch" in runs:
            rivals["torch, eager or compiled"] = ["torch", "torch_compiled"]
        for rival, sides in rivals.items():
            best = max(sides, key=lambda side: medians[side]["images_per_second"])
            ratio = 1 / times(name, best, "images_per_second")
            pairs = [
                ours["images_per_second"] / theirs["images_per_second"]
                for ours, theirs in zip(runs["skcell"], runs[best], strict=True)
            ]
            spread = f"{min(pairs):.1f} to {max(pairs):.1f} from run to run"
            what = f"one long fit, {works[work]}, {size} px"
            add(what, rival, f"{ratio:.1f} x as fast ({spread})", name)
    for name in ("search_28", "search"):
        s = load(name)["settings"]
        work = f"40 fits: {s['n'] * 4 // 5} images, {s['size']} px, epochs: {s['epochs']}"
        ratio = times(name, "scikeras", "seconds")
        add(work, "scikeras, `GridSearchCV`", f"{ratio:.1f} x as fast", name)
    name = "first_fit_plain_96"
    for key, what in (
        ("first_fit", "first fit of a process, plain call, one epoch on 64 images"),
        ("second_fit_while_the_first_lives", "the next such fit, while the first lives"),
    ):
        ratio = times(name, "keras", key)
        add(f"{what}, 96 px", "the same model, Keras' own `fit`", f"{ratio:.1f} x as fast", name)
    memory = load("memory")
    work = f"memory, {memory['settings']['fits']} fits of 4 networks"
    level = {side: f"{found['mib_per_fit']:.2f}" for side, found in memory["medians"].items()}
    rival = f", scikeras {level['scikeras']}" if "scikeras" in level else ""
    result = f"{level['skcell']} MiB a fit after the first 20{rival}"
    add(work, "scikeras" if rival else "none in this run", result, "memory")
    ratio = 1 / times("augmentation", "keras", "images_per_second")
    add("six augmentations, 96 px", "six Keras layers", f"{ratio:.1f} x as fast", "augmentation")
    seconds, peak = (
        times("smote", "imbalanced-learn", f"fit_resample_{key}")
        for key in ("seconds", "peak_bytes")
    )
    add(
        "SMOTE, 11,144 to 16,384 images, 96 px",
        "imbalanced-learn, float32",
        f"{seconds:.1f} x as fast, 1/{peak:.1f} of the memory",
        "smote",
    )
    for rival, side in (("Keras' `predict`", "keras"), ("ONNX Runtime", "onnxruntime")):
        ratio = times("predict", side, "seconds")
        add('predict 10,000 images, `tta="none"`', rival, f"{ratio:.1f} x as fast", "predict")
    one = load("predict")["medians"]
    ours, theirs = (one[side]["one_image_ms"] for side in ("skcell", "onnxruntime"))
    add(
        'predict one image, `tta="none"`',
        "ONNX Runtime",
        f"{ours:.1f} against {theirs:.1f} ms",
        "predict",
    )
    files = load("files")
    share = 1 / times("files", "arrays", "images_per_second")
    grown = files["medians"]["files"]["rss_growth_mib"]
    work = f"train from {files['settings']['n']:,} JPEG files, 96 px"
    add(work, "arrays", f"{100 * share:.0f} % of the speed, {grown:.0f} MiB", "files")
    features = load("features")
    ratio = times("features", "computed", "seconds")
    work = f"5 folds x 8 settings on a frozen backbone, {features['settings']['n']:,} images"
    add(work, "features computed anew", f"{ratio:.0f} x as fast", "features")
    pruning = load("pruning")
    work = f"trials in {pruning['settings']['seconds']} s, real cells, 28 px"
    for side, rival in (("optuna", "`OptunaSearchCV`"), ("random", "`RandomizedSearchCV`")):
        ratio = pruning["times_the_trials_of"][side]
        add(work, f"{rival}, scikeras", f"{ratio:.1f} x as many", "pruning")
    overhead = {
        (row["who"], row["sampler"], row["storage"]): row
        for row in load("overhead")["rows"]
        if row["processes"] == 1  # the last of each is that of most trials
    }
    for kind, where, what in (("tpe", "memory", "in memory"), ("random", "file", "in a file")):
        ours, theirs = (overhead[who, kind, where] for who in ("skcell", "optuna"))
        work = f"a search's trial beside fitting, after {ours['trials']:,} {what}"
        result = f"{ours['ms_per_trial']:.0f} against {theirs['ms_per_trial']:.0f} ms"
        add(work, "Optuna alone", result, "overhead")
    return table


def render() -> str:
    """Lay the table out, with the machines below it."""
    table = rows()
    lines = ["| what | rival | skcell | file |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in table]
    machines: dict[str, list[str]] = {}
    for link in dict.fromkeys(row[-1] for row in table):
        name = link[1 : link.index("]")]
        machine = load(name)["environment"]
        versions = machine["versions"]
        cpu = machine["cpu"].replace("(R)", "").removesuffix(" Processor")
        described = (
            f"{machine['cores']} cores of an {cpu}, Python {machine['python']}, "
            f"Keras {versions['keras']}, TensorFlow {versions['tensorflow']}"
        )
        machines.setdefault(described, []).append(name)
    # The machine of most files speaks for all that are not named.
    most, *others = sorted(machines, key=lambda described: -len(machines[described]))
    text = f"Medians of alternating runs, on {most}."
    text += "".join(f" For {', '.join(machines[other])}: {other}." for other in others)
    text += (
        " The long fits were run on another, faster EPYC than the other rows; skcell and torch "
        "train there in bfloat16, and Keras in its default, float32."
    )
    return "\n".join([*lines, "", *textwrap.wrap(text, 118)]) + "\n"


def mean(runs: list[dict[str, Any]], *keys: str) -> str:
    """Mean over the seeds, in percent."""
    values = []
    for run in runs:
        value: Any = run
        for key in keys:
            value = value.get(key, {})
        if value != {}:
            values.append(100 * value)
    return f"{sum(values) / len(values):.1f}" if values else "-"


def render_laboratories() -> str:
    """Lay out the results of bench_laboratories.py, two tables for each file."""
    parts = []
    for file in sorted((HERE / "results").glob("laboratories_*.json")):
        found = load(file.stem)
        settings, runs = found["settings"], found["runs"]
        kinds, qualities = list(runs[0]["by_kind"]), list(runs[0]["jpeg"])
        columns = ["trained", "own cells", "30 corruptions", *kinds]
        columns += [f"JPEG {quality}" for quality in qualities]
        lines = []
        for side in found["summary"]:
            of_side = [run for run in runs if run["side"] == side]
            cells = [side, mean(of_side, "clean"), mean(of_side, "corrupted")]
            cells += [mean(of_side, "by_kind", kind) for kind in kinds]
            lines.append(cells + [mean(of_side, "jpeg", quality) for quality in qualities])
        seeds = f"{settings['seeds']} seed{'s' if settings['seeds'] > 1 else ''}"
        size, n_simulated = settings["size"], settings["laboratories"]
        text = (
            f"Accuracy in percent: {settings['n_train']:,} training images of {size} x {size} "
            f"pixels of the PBC data (Acevedo et al. 2020, 8 classes), {settings['n_val']:,} "
            f"validation images, of which some were corrupted; {seeds}. The corruptions are "
            "written apart from the augmentation, but lamp, vignette, thermal noise, scale and "
            f"JPEG are changes of the same kinds. From `benchmarks/results/{file.name}`."
        )
        parts += [table(columns, lines), *textwrap.wrap(text, 118, break_long_words=False), ""]
        samples = list(runs[0]["other_laboratory"]["adapted"])
        labels = list(runs[0]["other_laboratory"]["labelled"])
        sides = list(found["summary"])
        names = ("a real one", f"{n_simulated} simulated ones", "worst change of these")
        columns = ["", *(f"{name}, {side}" for name in names for side in sides)]
        real = {s: [run["other_laboratory"] for run in runs if run["side"] == s] for s in sides}
        lines = [["as it is", *(mean(real[side], "as_it_is") for side in sides)]]
        lines[0] += [percent(found["summary"][side]["as_it_is"]) for side in sides]
        lines[0] += ["" for _ in sides]
        for key, prefix, keys in (("adapted", "adapted to", samples), ("labelled", "then", labels)):
            for name in keys:
                line = [f"{prefix} {name}{' labels' if key == 'labelled' else ''}"]
                line += [mean(real[side], key, name) for side in sides]
                line += [percent(found["summary"][side][key][name]) for side in sides]
                worst = [found["summary"][side]["worst"].get(name) for side in sides]
                known = key == "adapted"
                line += [f"{100 * w:+.1f}" if known and w is not None else "" for w in worst]
                lines.append(line)
        errors = [found["summary"][side]["calibration_error"] for side in sides]
        for name in labels:
            line = [f"calibration error, {name} labels"]
            line += [mean(real[side], "calibration_error", name) for side in sides]
            lines.append([*line, *(percent(error[name]) for error in errors), *("" for _ in sides)])
        text = (
            "Balanced accuracy in percent. The real laboratory is BCCD (another microscope, camera "
            "and stain): the network chooses among its five kinds (chance is 20). The simulated "
            "ones differ from the training images in size, stain, background, camera, focus and "
            "file at once, and have all eight classes (chance is 12.5). The network was adapted to "
            "so many images without labels, drawn as they come or with other class shares, and "
            "scored on all; in the last rows to 300, and then to labelled ones, which are not "
            "scored. Three basophils are a fifth of the scores of the real one: one of them is "
            "seven points."
        )
        parts += [table(columns, lines), *textwrap.wrap(text, 118), ""]
        parts += [*textwrap.wrap(in_detail(runs, real["plain call"]), 118), ""]
    return "\n".join(parts[:-1]) + "\n" if parts else ""


def in_detail(runs: list[dict[str, Any]], real: list[dict[str, Any]]) -> str:
    """Say more about the plain call in the real laboratory, and how well `expect_kept` holds."""
    f1, others = [], []
    for name in ("as_it_is", "adapted to 300", "5 a class labels"):
        details = [run["detail"][name] for run in real]
        f1.append(f"{statistics.fmean(detail['macro_f1'] for detail in details):.2f}")
        recalls = [v for d in details for k, v in d["recall"].items() if k != "basophil"]
        others.append(percent(statistics.fmean(recalls)))
    pairs = [pair for run in runs for pair in run["kept"]]
    limits = [expect_kept(1 - fall, 1.0) for fall, _ in pairs]
    within = sum(low <= kept <= high for (low, high), (_, kept) in zip(limits, pairs, strict=True))
    return (
        f"Of the plain call in the real laboratory, as it is, adapted to 300, and with 5 labels a "
        f"class: macro F1 {', '.join(f1)}; mean recall of the four kinds but basophils "
        f"{', '.join(others)}. An audit with this protocol (arXiv:2608.25148), from PBC to three "
        "laboratories without labels, gives a macro F1 of .31 for a ResNet-18 from scratch, .36 "
        "for a frozen ResNet-50, and .57 for the best of fifteen foundation models. The limits of "
        f"a shift report contained {within} of {len(pairs)} simulated laboratories that differ "
        "from the training images in some of six things."
    )


def table(columns: list[str], lines: list[list[str]]) -> str:
    """Lay out a table."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def render_unequal() -> str:
    """Lay out the results of bench_unequal.py: medians over seeds."""
    lines = []
    for name, runs in load("unequal")["runs"].items():
        balanced = [run["balanced_accuracy"] for run in runs]
        rare = [run["rare_recall"] for run in runs]
        seeds = ", ".join(map(percent, balanced))
        lines.append(
            [name, percent(statistics.median(balanced)), percent(statistics.median(rare)), seeds]
        )
    columns = ["", "balanced accuracy, %", "recall of rare classes, %", "balanced accuracy by seed"]
    return table(columns, lines)


def render_input_size() -> str:
    """Lay out the results of bench_input_size.py: medians over seeds."""
    lines = []
    for row in load("input_size")["runs"]:
        layer = row["layer"] or "the last"
        score = percent(statistics.median(row["scores"]))
        lines.append([row["backbone"], str(row["input_size"]), layer, score])
    return table(["backbone", "pixels", "layer", "accuracy, %"], lines)


#: Words of the tables for those of the file.
SOURCES = {"home": "the same source"}


def render_confidence() -> str:
    """Lay out the results of bench_confidence.py."""
    found = load("confidence")
    error = found["calibration_error"]
    lines = []
    for when in ("before", "after"):
        ends = " to ".join(percent(end) for end in error[when]["interval"])
        lines.append(
            [f"calibration error {when} scaling", f"{percent(error[when]['error'])} % ({ends})"]
        )
    for name, sets in found["sets"].items():
        covered = (
            f"{percent(sets['coverage'])} % ({percent(sets['lowest_of_a_class'])} % in the class "
            f"with the fewest), {sets['mean_size']:.2f} classes"
        )
        lines.append([f"coverage of prediction sets, target {name}", covered])
    for place, told in found["shift_told"].items():
        shares = ", ".join(f"{percent(share)} % with {n}" for n, share in told.items())
        lines.append([f"samples called shifted: {SOURCES.get(place, place)}", shares])
    text = table([f"accuracy {percent(found['accuracy'])} %", "measured"], lines) + "\n"
    kinds: dict[str, list[dict[str, float]]] = {}
    for scores in found["unknown"].values():
        for kind, score in scores.items():
            kinds.setdefault(kind, []).append(score)
    lines = []
    for kind, scores in kinds.items():
        called = [score["called_unknown"] for score in scores]
        line = [SOURCES.get(kind, kind), _range(called)]
        line += [
            _range([score[key] for score in scores]) if key in scores[0] else "-"
            for key in ("found_where_5_percent_of_home_are", "auc")
        ]
        lines.append(line)
    columns = [
        "kind of image",
        "called unknown, %",
        "at 5 % false alarms, %",
        "area under the curve, %",
    ]
    return text + table(columns, lines)


def render_statistics() -> str:
    """Lay out the results of bench_statistics.py."""
    found = load("statistics")
    lines = []
    covered = [row["coverage"] for row in found["balanced accuracy with patients"]]
    lines.append(
        [
            f"95 % intervals of the balanced accuracy, 5 to 20 patients, {len(covered)} settings",
            f"cover {percent(min(covered))} to {percent(max(covered))} %",
        ]
    )
    for row in found["prediction sets for new patients"]:
        if row["promised"] == 0.95 and row["patients"] >= 20:
            lines.append(
                [
                    f"sets at 95 %, {row['patients']} held-out patients",
                    f"cover {percent(row['coverage_by_patients'])} % of a new patient's images; "
                    f"{percent(row['coverage_by_images'])} % if patients are ignored",
                ]
            )
    for row in found["temperature"]:
        lines.append(
            [
                f"temperature from {row['held_out']} images, two kinds, 98 % correct",
                f"{row['lowest_temperature']:.2f} or more, median {row['median_temperature']:.2f}; "
                f"log loss elsewhere {row['log_loss_elsewhere']:.3f}, unscaled "
                f"{row['log_loss_elsewhere_without']:.3f}",
            ]
        )
    for row in found["calibration error"]:
        if row["logits_times"] in (1.0, 2.0):
            lines.append(
                [
                    f"true error {percent(row['true_error'])} %, {row['images']} images",
                    f"estimated as {percent(row['mean_estimate'])} % in the mean (plug-in "
                    f"{percent(row['mean_plug_in'])} %); intervals cover "
                    f"{percent(row['coverage'])} %",
                ]
            )
    for row in found["shift"]:
        lines.append(
            [
                f"200 real cells of the same source, {row['home']} held out",
                f"{percent(row['false_alarms'])} % called shifted; "
                f"{percent(row['told_if_7_percent_darker'])} % if 7 % darker",
            ]
        )
    kinds = {"studies": "convolutional networks", "studies of perceptrons": "perceptrons"}
    for row, kind in [(row, kinds[key]) for key in kinds for row in found[key]]:
        ours, rival = row["images and folds"], row["folds"]
        lines.append(
            [
                f"{kind}, study of 600 real cells in five folds, {row['technique']}: "
                f"{100 * row['true_difference']:+.1f} points",
                f"95 % intervals cover {percent(ours['coverage'])} %, and reach "
                f"{100 * ours['half_width']:.1f} points to each side (corrected t over folds "
                f"{percent(rival['coverage'])} %, {100 * rival['half_width']:.1f}); p <= 0.05 in "
                f"{percent(ours['p_at_most_0.05'])} % ({percent(rival['p_at_most_0.05'])} %)",
            ]
        )
    return table(["simulated", "result"], lines)


def render_cleaning() -> str:
    """Lay out the results of bench_cleaning.py: medians over seeds."""
    found = load("cleaning")["results"]
    sets = {name: runs for name, runs in found.items() if name not in ("time", "labels")}
    columns = ["", *sets]

    def cells(get: Callable[[dict[str, Any]], float | None]) -> list[str]:
        out = []
        for runs in sets.values():
            values = [value for run in runs if (value := get(run)) is not None]
            out.append(percent(statistics.median(values)) if values else "-")
        return out

    first = next(iter(sets.values()))[0]
    kinds = [name for name, told in first["copies"].items() if isinstance(told, dict)]
    lines = []
    for kind in kinds:
        for key in ("recall", "precision"):
            values = cells(lambda run, kind=kind, key=key: run["copies"][kind][key])
            lines.append([f"copies, {kind}: {key}", *values])
        lines.append(
            [
                "the same, by perceptual hashes: recall",
                *cells(
                    lambda run, kind=kind: run["copies"][kind].get("imagehash", {}).get("recall")
                ),
            ]
        )
    for kind in (name for name, told in first["outliers"].items() if isinstance(told, dict)):
        values = cells(lambda run, kind=kind: run["outliers"][kind]["recall"])
        lines.append([f"outliers, {kind}: recall", *values])
    per_1000 = [
        f"{statistics.median([run['outliers'][PER_1000] for run in runs]):.1f}"
        for runs in sets.values()
    ]
    lines.append(["outliers reported where none were planted, per 1,000 images", *per_1000])
    for name in first["shortcuts"]:
        told = [
            f"{sum(any(NAMED[name] in x for x in run['shortcuts'][name]['told']) for run in runs)}"
            f" of {len(runs)}"
            for runs in sets.values()
        ]
        lines.append([f"shortcut, {name}: reported", *told])
    text = table(columns, lines) + "\n"
    labels = found["labels"]
    means = {key: percent(statistics.median([run[key] for run in labels])) for key in labels[0]}
    time, files = found["time"], load("cleaning_files")["results"]["files"]
    text += "\n".join(
        textwrap.wrap(
            f"Recall and precision are in per cent, medians over {len(labels)} seeds. Of the labels"
            " that were changed (2 % of 4,000 cells of 28 pixels), `skcell check "
            f"--label-issues` lists {means['recall']} %; {means['precision']} % of all that it "
            f"lists, and {means['precision of the first']} % of the first 80, were changed; its "
            f"suggestion is right for {means['right suggestions']} % of those. "
            f"{time['n_images']:,} images of 96 pixels took `find_duplicates` "
            f"{time['find_duplicates_seconds']:.0f} s and `check_dataset` "
            f"{time['check_dataset_seconds']:.0f} s on two cores; "
            f"{files['n_files']:,} files took `check_dataset` {files['seconds']:.0f} s and "
            f"{files['peak_rss_mib']:,.0f} MiB of memory.",
            118,
        )
    )
    return text + "\n"


def render_suggest() -> str:
    """Lay out the results of bench_suggest.py: means over seeds."""
    found = load("suggest")
    settings, sides = found["settings"], found["runs"]
    columns = ["labelled", *sides]
    lines = []
    for number in range(settings["rounds"] + 1):
        rounds = [[run[number] for run in runs] for runs in sides.values()]
        scores = [percent(statistics.fmean(r["balanced_accuracy"] for r in of)) for of in rounds]
        lines.append([f"{rounds[0][0]['n_labels']:,}", *scores])
    everything = found["all"]
    score = percent(everything["balanced_accuracy"])
    lines.append([f"all {everything['n_labels']:,}", *(score for _ in sides)])
    text = (
        f"Balanced accuracy in percent on {settings['n_val']:,} validation cells, means over "
        f"{settings['seeds']} seeds: PBC data, {settings['size']} pixels; first "
        f"{settings['first']} labels a class, then {settings['n']} more in each round, from "
        f"{settings['pool']:,} images; in the last line, all have labels. `skcell suggest` is the "
        "first column. From `benchmarks/results/suggest.json`."
    )
    return "\n".join([table(columns, lines), *textwrap.wrap(text, 118)]) + "\n"


def render_find() -> str:
    """Lay out the results of bench_find.py."""
    found = load("find")
    columns = [
        "laboratory",
        "white cells",
        "found",
        "in pieces",
        "platelets found",
        "other objects",
    ]
    lines = []
    for name, run in found["runs"].items():
        classes = dict(run["classes"])
        platelets = classes.pop("platelet", None)
        total = {k: sum(c[k] for c in classes.values()) for k in ("missed", "found", "in pieces")}
        n = sum(total.values())
        of_platelets = "none there"
        if platelets:
            of_platelets = f"{percent(platelets['found'] / sum(platelets.values()))} %"
        lines.append(
            [
                name.removeprefix("laboratory "),
                f"{n:,}",
                f"{percent(total['found'] / n)} %",
                f"{total['in pieces']:,}",
                of_platelets,
                f"{run['n_elsewhere']:,}",
            ]
        )
    text = (
        "Fields put together from single cells, each with a gap around it: 1 is PBC, 2 is BCCD, "
        "another laboratory. On real smears, where cells touch, it was not measured. From "
        "`benchmarks/results/find.json`."
    )
    return "\n".join([table(columns, lines), *textwrap.wrap(text, 118)]) + "\n"


#: Name of a figure of bench_cleaning.py, and what must be named for a planted shortcut.
PER_1000 = "told of the data themselves, per 1,000"
NAMED = {
    "mark in a corner": "border",
    "tint of the border": "border",
    "labels at random": "",
    "PNG for one class": "format",
}


def _range(values: list[float]) -> str:
    """Return the median and the range of values, in percent."""
    low, high = percent(min(values)), percent(max(values))
    return f"{percent(statistics.median(values))} ({low} to {high})"


#: Name of each table in its file, and how it is made; it is left out without its result file.
TABLES = {
    DOCS / "results.md": ("speed", render),
    SHIFT: ("laboratories", render_laboratories),
    DOCS / "command_line.md": ("suggest", render_suggest),
    DOCS / "data.md": ("find", render_find),
    DOCS / "class_imbalance.md": ("unequal", render_unequal),
    DOCS / "transfer_learning.md": ("input size", render_input_size),
    DOCS / "calibration.md": ("confidence", render_confidence),
    DOCS / "data_checks.md": ("cleaning", render_cleaning),
    DOCS / "statistics.md": ("statistics", render_statistics),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for file, (name, make) in TABLES.items():
        begin = f"<!-- {name}: made by benchmarks/make_table.py -->\n"
        end = f"<!-- /{name} -->\n"
        head, rest = file.read_text(encoding="utf-8").split(begin)
        old, tail = rest.split(end)
        if not options.check:
            file.write_text(head + begin + make() + end + tail, encoding="utf-8")
        elif old != make():
            sys.exit(f"{file.name}: the table is not that of the files")


if __name__ == "__main__":
    main()
