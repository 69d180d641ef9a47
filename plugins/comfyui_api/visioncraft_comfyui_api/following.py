"""A job's events as ComfyUI tells them, in its order: clients decide by that order whether a prompt has ended."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from typing import Any

from visioncraft import JobEvent, JobState, NotFound, Service, VisionCraftError

from visioncraft_comfyui_api.book import Book
from visioncraft_comfyui_api.filenames import parted
from visioncraft_comfyui_api.prompts import Prompt, State
from visioncraft_comfyui_api.sockets import Sockets

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0  # where the events of a job have ended before the job has
_QUALITY = 80


class Follower:
    """Follows the jobs of all prompts that have not ended.

    Args:
        service: Where the jobs are.
        book: The prompts.
        sockets: Who is told.
    """

    def __init__(self, service: Service, book: Book, sockets: Sockets) -> None:
        self._service, self._book, self._sockets = service, book, sockets
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, prompt: Prompt) -> None:
        """Follow a prompt's job until its end."""
        task = asyncio.get_running_loop().create_task(self._follow(prompt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """The server ends; prompts that have not ended go on after its next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tell_status(self) -> None:
        """Tell everybody how many prompts are left."""
        self._sockets.tell_all(self._book.status())

    async def _follow(self, prompt: Prompt) -> None:
        while not prompt.over:
            try:
                async for event in self._service.watch(prompt.job_id):
                    await self._told(prompt, event)
            except NotFound as error:
                await self._end(prompt, "failed", error)
            except Exception:
                log.exception("prompt %s cannot be followed; it is tried again", prompt.id)
            if not prompt.over:
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _told(self, prompt: Prompt, event: JobEvent) -> None:
        if event.state is not JobState.QUEUED and prompt.started is None:
            await self._start(prompt)
        if event.name == "preview" and event.preview is not None:
            await self._show(prompt, event.preview)
        elif event.name == "step":
            self._progress(prompt, event)
        elif event.state is JobState.SUCCEEDED:
            await self._succeed(prompt)
        elif event.final:
            state: State = "cancelled" if event.state is JobState.CANCELLED else "failed"
            await self._end(prompt, state, event.error)

    async def _start(self, prompt: Prompt) -> None:
        self._book.started(prompt)
        self._tell(prompt, prompt.message("execution_start"))
        self._tell(prompt, prompt.message("execution_cached", nodes=[]))
        self._reach(prompt, prompt.sampler)
        await self._book.save(prompt)

    def _reach(self, prompt: Prompt, node: str) -> None:
        """Tell of the nodes up to one, in the order in which they run."""
        nodes = list(prompt.classes)
        while prompt.at < len(nodes) and (prompt.at == 0 or nodes[prompt.at - 1] != node):
            reached = nodes[prompt.at]
            prompt.at += 1
            self._tell(prompt, executing(prompt, reached))

    def _progress(self, prompt: Prompt, event: JobEvent) -> None:
        facts = {"value": event.step, "max": event.steps, "prompt_id": prompt.id, "node": prompt.sampler}
        self._tell(prompt, {"type": "progress", "data": facts})
        node = {"value": event.step, "max": event.steps, "state": "running", "node_id": prompt.sampler}
        ids = {"prompt_id": prompt.id, "display_node_id": prompt.sampler, "real_node_id": prompt.sampler}
        state = {"prompt_id": prompt.id, "nodes": {prompt.sampler: {**node, **ids, "parent_node_id": None}}}
        self._tell(prompt, {"type": "progress_state", "data": state})

    async def _show(self, prompt: Prompt, preview: bytes) -> None:
        """Show a preview to those of its clients that asked for them, and to nobody else."""
        if any(client.previews for client in self._sockets.of(prompt.owner, prompt.client_id)):
            jpeg = await asyncio.to_thread(_as_jpeg, preview)
            for client in self._sockets.of(prompt.owner, prompt.client_id):
                if client.previews:
                    client.show(jpeg, prompt.sampler, prompt.id)

    async def _succeed(self, prompt: Prompt) -> None:
        try:
            job = await self._service.job(prompt.job_id)
            outputs = await self._named(prompt, [image.id for image in job.images])
            pngs = await self._handed(prompt, len(job.images))
        except VisionCraftError as error:
            await self._end(prompt, "failed", error)
            return
        for node in prompt.output_nodes:
            self._reach(prompt, node)
            for png in pngs if node in prompt.handed else ():
                for client in self._sockets.of(prompt.owner, prompt.client_id):
                    client.hand(png)
            if node in outputs:
                facts = {"node": node, "display_node": node, "output": outputs[node], "prompt_id": prompt.id}
                self._tell(prompt, {"type": "executed", "data": facts})
        prompt.outputs = outputs
        await self._end(prompt, "completed", None)

    async def _named(self, prompt: Prompt, image_ids: list[str]) -> dict[str, Any]:
        """The files of each output node."""
        outputs = {}
        for node, prefix in prompt.prefixes.items():
            if node in prompt.handed:
                continue
            kind = "temp" if prompt.classes[node] == "PreviewImage" else "output"
            subfolder, beginning = parted(prefix or f"ComfyUI_temp_{prompt.id[:5]}", prompt)
            names = await self._book.name(kind, subfolder, beginning, image_ids)
            outputs[node] = {"images": [{"filename": name, "subfolder": subfolder, "type": kind} for name in names]}
        return outputs

    async def _handed(self, prompt: Prompt, count: int) -> list[bytes]:
        """The images themselves, where a node hands them over by the socket."""
        return [await self._service.image(prompt.job_id, number) for number in range(count)] if prompt.handed else []

    async def _end(self, prompt: Prompt, state: State, error: VisionCraftError | None) -> None:
        """Tell of the end: history knows of it before the queue and the status do, and those before the last word."""
        ending = self._ending(prompt, state, error)
        self._tell(prompt, ending)
        prompt.heard = bool(self._sockets.of(prompt.owner, prompt.client_id))
        self._book.ended(prompt, state)
        self.tell_status()
        self._tell(prompt, executing(prompt, None))
        await self._book.save(prompt)

    def _ending(self, prompt: Prompt, state: State, error: VisionCraftError | None) -> dict[str, Any]:
        if state == "completed":
            return prompt.message("execution_success")
        executed = list(prompt.classes)[: max(prompt.at - 1, 0)]
        node = {"node_id": prompt.sampler, "node_type": prompt.classes[prompt.sampler], "executed": executed}
        if state == "cancelled":
            return prompt.message("execution_interrupted", **node)
        said = error.message if error is not None else "the job has failed"
        kind = error.code if error is not None else "INTERNAL_ERROR"
        more = {"exception_message": said, "exception_type": kind, "traceback": [], "current_inputs": {}}
        return prompt.message("execution_error", **node, **more, current_outputs=[])

    def _tell(self, prompt: Prompt, message: dict[str, Any]) -> None:
        self._sockets.tell(prompt.owner, prompt.client_id, message)


def executing(prompt: Prompt, node: str | None) -> dict[str, Any]:
    """Which node runs now; None for none any more, which many clients take for the end."""
    return {"type": "executing", "data": {"node": node, "display_node": node, "prompt_id": prompt.id}}


def _as_jpeg(png: bytes) -> bytes:
    """A preview, which a worker of ours has made, in ComfyUI's format."""
    from PIL import Image

    buffer = BytesIO()
    with Image.open(BytesIO(png)) as preview:
        preview.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
