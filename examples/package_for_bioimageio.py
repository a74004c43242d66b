"""Package a model that `skcell export` wrote in the format of the BioImage Model Zoo.

It needs bioimageio.spec, onnx, onnxruntime, numpy and pillow:

    python package_for_bioimageio.py cells.onnx image.png cells.zip

Fill in who made the model, and of what data, before you publish it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from bioimageio.spec import load_description, save_bioimageio_package
from bioimageio.spec.model import v0_5 as spec
from PIL import Image

model, picture, package = map(Path, sys.argv[1:])
session = onnxruntime.InferenceSession(model)
told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
classes, wanted = told["classes"], told["image"]
folder = Path(tempfile.mkdtemp())

# What the model predicts for one image, so that others can check that it does so on their machine.
image = Image.open(picture).convert("RGB" if wanted["channels"] == 3 else "L")
size = wanted["width"], wanted["height"]
pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC), wanted["dtype"])
pixels = pixels.reshape(1, *size[::-1], wanted["channels"])
np.save(folder / "input.npy", pixels)
np.save(folder / "output.npy", session.run(None, {session.get_inputs()[0].name: pixels})[0])
image.resize((256, 256)).save(folder / "cover.png")
text = "\n\n".join(f"{name}: {rule}" for name, rule in wanted.items())
(folder / "README.md").write_text(f"# Classes\n\n{', '.join(classes)}\n\n# Images\n\n{text}\n")

channels = [f"channel{k}" for k in range(wanted["channels"])]
(opset,) = [one.version for one in onnx.load(model).opset_import if one.domain in ("", "ai.onnx")]
description = spec.ModelDescr(
    name="Classifier of cells",
    description="Probabilities of the classes of one cell, by skcell.",
    authors=[spec.Author(name="Your name")],
    license="CC-BY-4.0",
    cite=[spec.CiteEntry(text="What to cite", url="https://example.org/")],
    documentation=spec.FileDescr(source=folder / "README.md"),
    covers=[spec.FileDescr(source=folder / "cover.png")],
    inputs=[
        spec.InputTensorDescr(
            id="image",
            axes=[
                spec.BatchAxis(),
                spec.SpaceInputAxis(id="y", size=wanted["height"]),
                spec.SpaceInputAxis(id="x", size=wanted["width"]),
                spec.ChannelAxis(channel_names=channels),
            ],
            test_tensor=spec.FileDescr(source=folder / "input.npy"),
            data=spec.IntervalOrRatioDataDescr(type=wanted["dtype"], range=tuple(wanted["range"])),
        )
    ],
    outputs=[
        spec.OutputTensorDescr(
            id="probabilities",
            axes=[
                spec.BatchAxis(),
                # Names of channels are lower case; the classes themselves are in README.md.
                spec.ChannelAxis(channel_names=[f"class{k}" for k in range(len(classes))]),
            ],
            test_tensor=spec.FileDescr(source=folder / "output.npy"),
            data=spec.IntervalOrRatioDataDescr(type="float32", range=(0, 1)),
        )
    ],
    weights=spec.WeightsDescr(
        onnx=spec.OnnxWeightsDescr(source=model.resolve(), opset_version=opset)
    ),
)
save_bioimageio_package(description, output_path=package)
print(load_description(package).validation_summary.status)
