"""OpenVINO's provider is held to the contract and the pictures of the others, in the long form to their errors too.

Its build of ONNX Runtime is the same module as onnxruntime, and stands first on the path of a process of its own;
scripts/install-openvino.sh puts it beside the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OPENVINO = Path(sys.prefix) / "openvino"
FILES = ("scripts/openvino_pictures.py", "test_contract.py")
ERRORS = ("test_onnx_trouble.py", "test_onnx_drawing.py") if os.environ.get("VISIONCRAFT_SOAK") else ()
CHOSEN = "openvino or contract or truncated or opset or settings_allow or at_once"


def test_openvino_keeps_the_contract_the_pictures_and_the_errors() -> None:
    files = [str(HERE / name) for name in (*FILES, *ERRORS)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", CHOSEN]
    environment = os.environ | {"PYTHONPATH": str(OPENVINO)}
    outcome = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
