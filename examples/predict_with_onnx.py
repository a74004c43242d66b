"""Predict cells with a model that `skcell export` wrote.

It needs onnxruntime, numpy and pillow alone:

    python predict_with_onnx.py cells.onnx image.png ...

Images are prepared as the model's description says: 8 bits, grey or colour, transparent parts over
white. Files with 16 bits, and models for other images, are refused.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, *files = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
wanted = told["image"]
if wanted["dtype"] != "uint8" or wanted["channels"] not in (1, 3):
    sys.exit(f"This example reads images of 8 bits, grey or RGB; the model takes {wanted}.")
for file in files:
    image = ImageOps.exif_transpose(Image.open(file))
    if image.mode.startswith(("I", "F")):
        sys.exit(f"{file} has more than 8 bits for each pixel; use skcell predict.")
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    image = image.resize((wanted["width"], wanted["height"]), Image.Resampling.BICUBIC)
    image = image.convert("RGB" if wanted["channels"] == 3 else "L")
    pixels = np.asarray(image).reshape(1, wanted["height"], wanted["width"], wanted["channels"])
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    best = int(probabilities.argmax())
    print(f"{file},{told['classes'][best]},{probabilities[best]:.4f}")
