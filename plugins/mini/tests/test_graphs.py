"""The ONNX graphs that are shipped fit the weights that are shipped. After a training: train/export.py writes both."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from visioncraft_mini.plugin import WEIGHTS
from visioncraft_mini.train.graphs import read_header

GRAPHS = sorted(WEIGHTS.glob("*/*.onnx"))


def test_every_part_has_its_graph_and_all_of_them_together_are_small() -> None:
    assert [f"{graph.parent.name}/{graph.name}" for graph in GRAPHS] == [
        "text_encoder/model.onnx",
        "unet/model.onnx",
        "vae/decoder.onnx",
        "vae/encoder.onnx",
    ]
    assert sum(graph.stat().st_size for graph in GRAPHS) < 1_000_000


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_graph_finds_every_weight_at_its_place_in_the_safetensors_file(graph: Path) -> None:
    model = onnx.load(graph, load_external_data=False)
    assert model.graph.initializer
    for tensor in model.graph.initializer:
        where = {entry.key: entry.value for entry in tensor.external_data}
        weights = graph.parent / where["location"]
        places, start = read_header(weights)
        place = places[tensor.name.removeprefix("model.").removesuffix(".stored")]
        first, end = place["data_offsets"]
        assert (int(where["offset"]), int(where["length"])) == (start + first, end - first)
        assert list(tensor.dims) == place["shape"]
        assert (tensor.data_type, place["dtype"]) == (onnx.TensorProto.FLOAT16, "F16")
