"""Hardware and versions: without importing what is not imported, and without private names."""

import getpass
import json
import platform
import subprocess
import sys

from skcell import __version__
from skcell._environment import environment


def test_environment_names_what_matters_and_nobody():
    found = environment()
    assert found["versions"]["skcell"] == __version__
    assert found["versions"]["keras"]
    assert found["versions"][found["backend"]]
    assert found["cores"] >= 1
    assert found["ram_gib"] > 0.1
    text = json.dumps(found)
    assert platform.node() not in text or len(platform.node()) < 4
    assert f"/{getpass.getuser()}" not in text


def test_environment_imports_no_backend():
    code = (
        "import sys; from skcell._environment import environment; found = environment();"
        "assert found['devices'] is None; assert found['versions']['keras'];"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_environment_sees_devices_once_the_backend_is_there():
    import keras

    keras.ops.zeros(1)
    assert isinstance(environment()["devices"], list)
