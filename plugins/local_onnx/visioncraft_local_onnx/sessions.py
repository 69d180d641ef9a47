"""ONNX Runtime: which execution provider runs a graph, under which options, and what is wrong where none can.

Options were chosen by measuring (docs/onnx.md): all optimisations, the arena on, and threads that sleep instead of
spin between two operators, because the server shares the machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
from visioncraft import ServiceUnavailable, has_bf16, probe_device, state_of
from visioncraft_diffusion.errors import ModelRefused

from visioncraft_local_onnx.folder import files_of
from visioncraft_local_onnx.settings import OpenVINOPrecision, ProviderName

_log = logging.getLogger("visioncraft.local_onnx")
_PROVIDERS: Mapping[ProviderName, tuple[str, str]] = {  # what ONNX Runtime calls it, and the package that has it
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu, and TensorRT"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu in place of onnxruntime"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml in place of onnxruntime, on Windows"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime on macOS"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino in place of onnxruntime"),
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
}
_HOST = frozenset({"cpu", "openvino", "coreml"})
"""Providers that read their inputs from main memory."""

_COPY = "model.onnx"
_INLINE_LIMIT = 1024  # bytes: larger weights of an optimised graph lie beside it, since a graph holds 2 GB at most


def choose_providers(preferred: Sequence[ProviderName]) -> list[ProviderName]:
    """Those of the preferred providers that the installed onnxruntime has.

    Raises `ServiceUnavailable` where it has none of them, with what to install.
    """
    available = set(onnxruntime.get_available_providers())
    found = [name for name in preferred if _PROVIDERS[name][0] in available]
    if found:
        return found
    hints = "; ".join(f"{name}: pip install {_PROVIDERS[name][1]}" for name in preferred)
    raise ServiceUnavailable(
        f"onnxruntime {onnxruntime.__version__} has no provider of plugins.config.local_onnx.providers ({hints}); "
        "or add 'cpu' to them"
    )


@dataclass(frozen=True)
class Runtime:
    """How graphs are opened.

    Args:
        providers: In order of preference, all available.
        threads: For one graph; 0 for as many as this process may use.
        cache: Folder of optimised graphs; None to keep none.
        openvino_precision: What OpenVINO computes in.
    """

    providers: Sequence[ProviderName]
    threads: int
    cache: Path | None
    openvino_precision: OpenVINOPrecision = "auto"

    def open(self, graph: Path) -> Session:
        """Open a graph. Raises `ModelRefused` for one that is damaged or needs what this onnxruntime lacks."""
        try:
            kept = self._kept(graph)
            if kept is None:
                return self._session(graph, self._options())
            return self._opened_copy(kept) or self._session_and_copy(graph, kept)
        except Exception as error:
            raise ModelRefused(_explain(graph, error)) from error

    def _opened_copy(self, kept: Path) -> Session | None:
        options = self._options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # that is done
        try:
            return self._session(kept / _COPY, options) if kept.is_dir() else None
        except Exception as error:  # a copy is only worth its time: it is made again
            _log.warning("%s cannot be used, and is made anew: %s", kept, _first_line(error))
            shutil.rmtree(kept, ignore_errors=True)
            return None

    def _session_and_copy(self, graph: Path, kept: Path) -> Session:
        """Open a graph and keep what it was optimised to; where that cannot be written, it is only opened."""
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=kept.parent, prefix=".new-", ignore_cleanup_errors=True) as folder:
                session = self._session(graph, _saving(self._options(), Path(folder) / _COPY))
                Path(folder).rename(kept)  # at once or not at all
                return session
        except Exception as error:  # a full disk is ONNX Runtime's own error; a damaged graph fails here once more
            session = self._session(graph, self._options())
            _log.warning("%s: the optimised graph cannot be kept: %s", kept, _first_line(error))
            return session

    def _session(self, graph: Path, options: Any) -> Session:
        bf16 = self.openvino_precision == "bf16" or (self.openvino_precision == "auto" and has_bf16())
        own = {"openvino": self._openvino_options("bf16" if bf16 else "f32")}
        names = [(_PROVIDERS[name][0], own.get(name, {})) for name in self.providers]
        session = onnxruntime.InferenceSession(str(graph), options, providers=names)
        used = session.get_providers()[0]  # where a GPU's provider cannot start, ONNX Runtime goes on to the next
        provider = next(name for name, (its, _) in _PROVIDERS.items() if its == used)
        return Session(session, provider, "bf16" if bf16 and provider == "openvino" else None)

    def _openvino_options(self, precision: str) -> Mapping[str, str]:
        """OpenVINO's own settings (https://docs.openvino.ai, CPU device); ONNX Runtime's do not reach its threads."""
        config = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": str(self.cores),
            "ENABLE_CPU_PINNING": "NO",  # pictures drawn at once would be pinned to the same cores
        }
        return {"device_type": "CPU", "load_config": json.dumps({"CPU": config})}

    @property
    def cores(self) -> int:
        """How many threads compute one graph."""
        return self.threads or usable_cores()

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.cores
        options.log_severity_level = 4  # errors come as exceptions, and are told once
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    def _kept(self, graph: Path) -> Path | None:
        """The folder of this graph's optimised copy, under a name that changes with whatever it was made from."""
        if self.cache is None or self.providers[0] != "cpu":  # other providers compile parts that cannot be saved
            return None
        files = [(str(file), state_of(file)) for file in files_of(graph)]
        made_from = (files, onnxruntime.__version__, probe_device(cpu_only=True).device_name)
        return self.cache / hashlib.sha256(repr(made_from).encode()).hexdigest()[:32]


class Session:
    """An open graph. Safe to call from several threads.

    Args:
        session: ONNX Runtime's.
        provider: The one in use.
        precision: What it computes in, where that is not what the graph says.
    """

    def __init__(self, session: Any, provider: ProviderName, precision: str | None = None) -> None:
        self.provider, self.precision = provider, precision
        self._session = session
        self.inputs: Mapping[str, str] = {entry.name: entry.type for entry in session.get_inputs()}
        self.scalars = frozenset(entry.name for entry in session.get_inputs() if not entry.shape)
        self.outputs: Sequence[str] = [entry.name for entry in session.get_outputs()]

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """What a graph answers, as NumPy arrays.

        Args:
            inputs: NumPy arrays, or values that `stay` put on the device.
        """
        if all(not isinstance(value, onnxruntime.OrtValue) for value in inputs.values()):
            return list(self._session.run(list(outputs), dict(inputs)))
        binding = self._session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, onnxruntime.OrtValue):
                binding.bind_ortvalue_input(name, value)
            else:
                binding.bind_cpu_input(name, value)
        for name in outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def stay(self, value: Any) -> Any:
        """An array on the device, for an input that stays the same over many calls; the array itself on the host."""
        if self.provider in _HOST:
            return value
        device = "dml" if self.provider == "directml" else "cuda"
        return onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _saving(options: Any, path: Path) -> Any:
    """Options under which a session writes its optimised graph to a path, weights beside it."""
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(_INLINE_LIMIT)
    )
    return options


def _explain(graph: Path, error: Exception) -> str:
    shown, said = f"{graph.parent.name}/{graph.name}", _first_line(error)
    version = f"onnxruntime {onnxruntime.__version__}"
    if "opset" in said.lower() or "ir version" in said.lower():
        return f"{shown} is of a newer kind than {version} knows ({said}); pip install --upgrade onnxruntime"
    if "not implemented" in said.lower() or "is not a registered function" in said.lower():
        return f"{shown} needs an operator that {version} lacks ({said}); export the model again, or upgrade"
    return f"{shown} is damaged or not whole ({said}); fetch or export the model again"


def _first_line(error: Exception) -> str:
    """ONNX Runtime's own words, without its code in front and its call stack behind."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.rpartition("] : ")[2].split(" : ", 2)[-1][:300].strip()
