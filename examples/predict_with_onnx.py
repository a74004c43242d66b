"""Predict cells with a model that `skcell export` wrote.

It needs onnxruntime, numpy and pillow alone:

    python predict_with_onnx.py cells.onnx image.png ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

model, *files = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
size = told["image"]["width"], told["image"]["height"]
for file in files:
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))[None]
    (probabilities,) = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    best = int(probabilities.argmax())
    print(f"{file},{told['classes'][best]},{probabilities[best]:.4f}")
