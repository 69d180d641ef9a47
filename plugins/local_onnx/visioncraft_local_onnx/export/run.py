"""One export: run the script in its environment, draw with what came out, keep it only if it holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from visioncraft import (
    GeneratedImage,
    GenerationFailed,
    GenerationRequest,
    InvalidRequest,
    ModelInfo,
    Progress,
    StorageError,
    decode_png,
)

from visioncraft_local_onnx.export.environment import clean_environment, running
from visioncraft_local_onnx.folder import NOTE

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
SCRIPT = Path(__file__).with_name("script.py")
REFERENCE = {"prompt": "a red apple", "sampler": "ddim", "num_inference_steps": 8, "guidance_scale": 7.5, "seed": 7}
"""What torch and the export both draw, at the size in the script's answer."""

_log = logging.getLogger("visioncraft.local_onnx")
# The largest difference that a part may have from torch, as a share of its largest number. 8 bits are what they are.
_TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 0.1, "int8": float("inf")}
_PICTURE_TOLERANCE: Mapping[Precision, float] = {"fp32": 1.0, "fp16": 4.0, "int8": float("inf")}  # in 1/255

Draw = Callable[[GenerationRequest], GeneratedImage]


@dataclass
class Findings:
    """What was measured of an export.

    Args:
        checks: For each part the largest difference from torch in full precision, and the largest number.
        side: Pixels of the reference picture's sides.
        picture: Mean difference of the picture from torch's, of all channels, in units of 1/255.
        error: Why the script ended early.
    """

    checks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    side: int = 0
    picture: float = 0.0
    error: str = ""

    def lines(self) -> list[str]:
        """For people."""
        parts = [
            f"{part}: largest difference from torch {gap:.2g} (of numbers up to {most:.2g})"
            for part, (gap, most) in self.checks.items()
        ]
        return [*parts, f"a picture: mean difference from torch's {self.picture:.2f}/255"]


@dataclass(frozen=True)
class Exporter:
    """Exports models.

    Args:
        python: Interpreter of the environment that exports.
        models_dir: Where exports are kept.
        draw: Draws with an exported folder.
    """

    python: Path
    models_dir: Path
    draw: Draw

    def export(self, model: ModelInfo, precision: Precision, progress: Progress) -> tuple[Path, Findings]:
        """Export a model, check it against torch and keep it.

        Raises `InvalidRequest` for a model that is no diffusers folder or is exported already, `GenerationFailed` where
        the export fails or differs from torch too much, `StorageError` for a full disk; nothing is kept then.
        """
        target = self._target(model, precision)
        try:
            self.models_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.models_dir, prefix=".export-") as work:
                made = Path(work) / target.name
                findings = self._run(Path(str(model.source)), made, precision, progress)
                progress.stage("drawing with the export")
                findings.picture = self._compared(made, findings.side)
                _check(findings, precision)
                (made / NOTE).write_text(json.dumps({"model": model.id, "precision": precision}), "utf-8")
                made.rename(target)
        except OSError as error:
            raise StorageError(f"{target}: the export cannot be kept: {error.strerror}; free some space") from error
        return target, findings

    def _target(self, model: ModelInfo, precision: Precision) -> Path:
        if model.source is None or not (Path(model.source) / "model_index.json").is_file():
            issue = "only a diffusers folder can be exported; a single file can be converted to one with diffusers"
            raise InvalidRequest(f"Cannot export '{model.id}'", field="model", issue=issue)
        suffix = "" if precision == "fp32" else f"-{precision}"
        target = self.models_dir / f"{model.id}-onnx{suffix}"
        if target.exists():
            raise InvalidRequest(f"'{target.name}' is there already", field="model", issue=f"delete {target} first")
        return target

    def _run(self, source: Path, made: Path, precision: Precision, progress: Progress) -> Findings:
        findings = Findings()
        command = [str(self.python), str(SCRIPT), str(source), str(made), precision, json.dumps(REFERENCE)]
        with running(command, clean_environment() | {"HF_HUB_OFFLINE": "1"}) as process:
            for line in process.stdout or ():
                _read(line, findings, progress)
        if process.returncode or findings.error or not findings.checks:
            reason = findings.error or f"the script ended with {process.returncode}"
            raise GenerationFailed(f"The export failed: {reason}; `visioncraft -v models export` shows more")
        return findings

    def _compared(self, made: Path, side: int) -> float:
        """Mean difference of a picture drawn with the export from the same one drawn by torch."""
        model = ModelInfo(id=made.name, name=made.name, engine="onnx", source=str(made))
        options: dict[str, Any] = dict(REFERENCE)
        image = self.draw(GenerationRequest(model=model, width=side, height=side, **options))
        wanted = decode_png((made.parent / "reference.png").read_bytes()).astype(int)
        return float(np.abs(decode_png(image.png).astype(int) - wanted).mean())


def precision_of(name: str) -> Precision:
    """A precision by its name. Raises `InvalidRequest`."""
    for precision in PRECISIONS:
        if precision == name:
            return precision
    raise InvalidRequest(f"Unknown precision '{name}'", field="precision", issue=f"one of {', '.join(PRECISIONS)}")


def _read(line: str, findings: Findings, progress: Progress) -> None:
    """One line of the script: a message of its own, or a library's words for the log."""
    try:
        message = json.loads(line)
        assert isinstance(message, dict)  # noqa: S101 - a library may print a number or a list
    except (ValueError, AssertionError):
        _log.debug("%s", line.rstrip())
        return
    if "stage" in message:
        progress.stage(str(message["stage"]))
    findings.checks = {part: (gap, most) for part, (gap, most) in message.get("checks", findings.checks).items()}
    findings.side = int(message.get("side", findings.side))
    findings.error = str(message.get("error", findings.error))


def _check(findings: Findings, precision: Precision) -> None:
    for part, (gap, most) in findings.checks.items():
        if not gap <= _TOLERANCE[precision] * max(1.0, most):
            raise GenerationFailed(f"The export was thrown away: its {part} differs from torch's by {gap:.2g}")
    if not findings.picture <= _PICTURE_TOLERANCE[precision]:
        raise GenerationFailed(
            f"The export was thrown away: its picture differs from torch's by {findings.picture:.1f}/255 in the mean"
        )
