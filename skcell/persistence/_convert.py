"""Convert a Keras file to another format, in a process with TensorFlow as the backend.

All of Keras' exporters work under TensorFlow; a process of its own also keeps their messages, and
what they change, away from the user's.
"""

import sys

FORMATS = {
    "onnx": "onnx",
    "litert": "litert",
    "openvino": "openvino",
    "savedmodel": "tf_saved_model",
}


def convert(source: str, target: str, file_format: str) -> None:
    """Convert a file."""
    import keras
    import numpy as np

    import skcell.networks  # noqa: F401 # registers layers that the file may have

    model = keras.saving.load_model(source, compile=False)
    (image,) = model.inputs
    model(np.zeros((1, *image.shape[1:]), image.dtype))  # ONNX needs a model that was called
    model.export(target, format=FORMATS[file_format], verbose=False)


if __name__ == "__main__":
    convert(*sys.argv[1:])
