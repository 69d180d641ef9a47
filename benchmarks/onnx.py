"""ONNX Runtime against torch: one picture, a cold start and memory, each engine in a process of its own.

`python -m benchmarks.onnx NAME` is such a process: it draws a picture for every line it reads and answers the seconds
it took and the memory it holds, in JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

STEPS = 20
SIDE = 512
ROUNDS = 7
PROMPT = "a red apple"
TARGET = 0.9
DATA = Path("data")
"""Where `visioncraft models export visioncraft-mini` leaves an export and its environment; without them, Optimum's own
pipeline is not measured."""

OPENVINO = Path(sys.prefix) / "openvino"
"""OpenVINO's build of ONNX Runtime, which scripts/install-openvino.sh puts there for a process of its own."""

_PYTHON = DATA / "environments" / "onnx-export" / "bin" / "python"
_EXPORT = DATA / "models-onnx" / "visioncraft-mini-onnx"
OURS = {"local_onnx": "local_onnx", "local_onnx_openvino": "local_onnx with OpenVINO"}
LABELS = {
    "local_sd": "local_sd as it comes",
    "local_sd_fp32": "local_sd in fp32",
    "optimum": "Optimum's ORTStableDiffusionPipeline",
}
PEERS = ("local_sd", "local_sd_fp32", *(["optimum"] if _PYTHON.exists() and _EXPORT.exists() else []))
Draw = Callable[[int], None]
Row = tuple[str, str, str]


def rows() -> list[Row]:
    """(what, ours, against what)."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-onnx-") as folder:
        first, again = ({name: _cold(name, folder) for name in (*OURS, "local_sd")} for _ in range(2))
        with ExitStack() as stack:
            times, memory = _alternate({name: stack.enter_context(_drawer(name, folder)) for name in (*OURS, *PEERS)})
    return [*_picture_rows(times), *_cold_rows(first, again), *_memory_rows(memory), _size_row()]


def _picture_rows(times: Mapping[str, float]) -> Iterator[Row]:
    for name, label in OURS.items():
        what = f"one picture of mini, {SIDE}x{SIDE}, {STEPS} steps, by {label}"
        for peer in PEERS:
            against = f"{LABELS[peer]} {times[peer] * 1e3:.0f} ms: ratio {times[name] / times[peer]:.2f}"
            against += f" (target at most {TARGET})" if peer != "optimum" else ""
            yield what, f"{times[name] * 1e3:.0f} ms", against


def _memory_rows(memory: Mapping[str, float]) -> Iterator[Row]:
    against = f"local_sd {memory['local_sd']:.0f} MiB"
    for name, label in OURS.items():
        yield f"resident memory after that, {label}", f"{memory[name]:.0f} MiB", against


def _size_row() -> Row:
    """What pip brings for either engine, from what is installed here: ours counted from their folders."""
    shared = ("visioncraft", "visioncraft-gallery-fs", "visioncraft-mini")
    light, heavy = (_closure([*shared, engine]) for engine in ("visioncraft-local-onnx", "visioncraft-local-sd"))
    against = f"with local_sd in its place {_megabytes(heavy):.0f} MB in {len(heavy)}"
    return "packages of a server with local_onnx and mini", f"{_megabytes(light):.0f} MB in {len(light)}", against


def _closure(names: Iterable[str]) -> set[str]:
    """These distributions and all that they need here."""
    pending, found = list(names), set[str]()
    while pending:
        name = canonicalize_name(pending.pop())
        if name not in found:
            found.add(name)
            needed = (Requirement(each) for each in distribution(name).requires or [])
            pending += [each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def _megabytes(names: Iterable[str]) -> float:
    total = 0
    for name in names:
        package = find_spec(name.replace("-", "_")) if name.startswith("visioncraft") else None
        if package is not None and package.submodule_search_locations:  # an editable install lists no files
            files = [path for path in Path(package.submodule_search_locations[0]).rglob("*") if path.is_file()]
        else:
            files = [Path(str(file.locate())) for file in distribution(name).files or []]
        total += sum(file.stat().st_size for file in files if file.exists())
    return total / 1e6


def _cold_rows(first: Mapping[str, float], again: Mapping[str, float]) -> Iterator[Row]:
    for times, when in ((first, "on a new machine"), (again, "once something was drawn there")):
        for name, label in OURS.items():
            what = f"from the start of a process to its first picture, {when}, {label}"
            yield what, f"{times[name]:.2f} s", f"local_sd {times['local_sd']:.2f} s"


def _cold(name: str, folder: str) -> float:
    began = time.perf_counter()
    with _drawer(name, folder) as drawer:
        _ask(drawer, 0)
        return time.perf_counter() - began


def _alternate(drawers: Mapping[str, subprocess.Popen[str]]) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of each, taken in turn so that the machine's moods meet all alike, and MiB at the end."""
    for drawer in drawers.values():
        _ask(drawer, 0)
    answers = [{name: _ask(drawer, seed) for name, drawer in drawers.items()} for seed in range(1, ROUNDS + 1)]
    times = {name: statistics.median(answer[name]["seconds"] for answer in answers) for name in drawers}
    return times, {name: answers[-1][name]["resident"] for name in drawers}


@contextmanager
def _drawer(name: str, folder: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.onnx", name, folder]
    if name == "optimum":
        peer = Path(__file__).with_name("optimum_peer.py")
        command = [str(_PYTHON), "-P", str(peer), str(_EXPORT), PROMPT, str(STEPS), str(SIDE)]
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    if name == "local_onnx_openvino":
        options["env"] = os.environ | {"PYTHONPATH": str(OPENVINO)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **options) as process:
        yield process
        if process.stdin is not None:
            process.stdin.close()


def _ask(process: subprocess.Popen[str], seed: int) -> dict[str, float]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write(f"{seed}\n")
    process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def _serve(name: str, folder: str) -> None:
    import psutil

    draw = _engine(name, Path(folder))
    for line in sys.stdin:
        began = time.perf_counter()
        draw(int(line))
        seconds, resident = time.perf_counter() - began, psutil.Process().memory_info().rss / 2**20
        print(json.dumps({"seconds": seconds, "resident": resident}), flush=True)


def _engine(name: str, folder: Path) -> Draw:
    from visioncraft import GenerationRequest, Generator
    from visioncraft.jobs.progress import NoProgress
    from visioncraft_mini.plugin import MINI

    generator: Generator
    if name in OURS:
        from visioncraft_local_onnx.generator import LocalOnnx
        from visioncraft_local_onnx.settings import LocalOnnxSettings

        wanted = "openvino" if "openvino" in name else "cpu"
        generator = LocalOnnx(LocalOnnxSettings(providers=(wanted,)), folder)
    else:
        from visioncraft_local_sd.generator import LocalSD
        from visioncraft_local_sd.settings import LocalSDSettings

        generator = LocalSD(LocalSDSettings(device="cpu", dtype="fp32" if "fp32" in name else "auto"), folder)

    def draw(seed: int) -> None:
        request = GenerationRequest(PROMPT, MINI, num_inference_steps=STEPS, width=SIDE, height=SIDE, seed=seed)
        generator.run(request, NoProgress())

    return draw


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
