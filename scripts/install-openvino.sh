#!/bin/sh
# Puts OpenVINO's build of ONNX Runtime in place, with which tests and benchmarks run in processes of their own: it is
# the same module as onnxruntime, and only one of the two can be in an environment. Does nothing when it is there.
set -eu

folder=.venv/openvino
wanted=$(sed -n 's/^onnxruntime-openvino==//p' constraints.txt)

[ -d "$folder/onnxruntime_openvino-$wanted.dist-info" ] ||
    .venv/bin/python -m pip install --quiet --no-deps --upgrade --target "$folder" "onnxruntime-openvino==$wanted"
