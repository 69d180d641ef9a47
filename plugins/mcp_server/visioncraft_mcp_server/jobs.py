"""Jobs: waiting for one with its progress, for as long as clients wait, and coming back to it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field
from visioncraft import JobEvent, JobState, JobView, Service, ServiceUnavailable

from visioncraft_mcp_server.results import Results, hung_up, in_text, in_words, request_of

WAIT_S = 50.0
"""How long a call waits unless it says otherwise: many clients give a tool up after a minute."""

_SESSION = "mcp-session-id"

Wait = Annotated[
    float,
    Field(
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="Seconds to wait for the image. Afterwards the answer is the job's id, and drawing goes on; 0 "
        "answers at once. Past 50 many clients give up before",
    ),
]
JobId = Annotated[str, Field(max_length=100, description="The job, as job_…")]


class JobTools:
    """The tools that look after jobs.

    Args:
        service: Has them.
        results: Makes answers.
    """

    def __init__(self, service: Service, results: Results) -> None:
        self._service, self._results = service, results
        self.ending = False
        """Whether the server is: calls are broken off then, and their jobs go on when it is back."""

    @in_words
    async def get_job(self, job_id: JobId, ctx: Context, wait_s: Wait = WAIT_S) -> CallToolResult:
        """Wait for a job that generate_image or edit_image began: its images, or how far it is."""
        await self._follow((await self._service.job(job_id)).id, ctx, wait_s)
        return await self._answer(job_id, ctx)

    @in_words
    async def cancel_job(self, job_id: JobId) -> CallToolResult:
        """Cancel a job: at once while it waits, within one step while it is drawn; an ended one stays as it is."""
        job = await self._service.cancel(job_id, "its client cancelled it")
        return in_text(f"{job.id} is {job.state}", {"job_id": job.id, "status": str(job.state)})

    async def drawn(self, job: JobView, ctx: Context, wait_s: float, keeps: bool) -> CallToolResult:
        """Wait for a job that this very call began.

        Args:
            job: The job.
            ctx: The call.
            wait_s: How long to wait, in seconds.
            keeps: Whether the job goes on when its client leaves, as it has a key to come back with.
        """
        if keeps:
            await self._follow(job.id, ctx, wait_s)
        else:
            await self._follow_or_cancel(job.id, ctx, wait_s)
        return await self._answer(job.id, ctx)

    async def _answer(self, job_id: str, ctx: Context) -> CallToolResult:
        """What there is to say of a job now. Raises what it failed with."""
        job = await self._service.job(job_id)
        if job.state is JobState.SUCCEEDED:
            return await self._results.of_job(job, ctx)
        if job.ended:
            raise job.error or ServiceUnavailable(f"{job.id} is {job.state}")
        facts = {"job_id": job.id, "status": str(job.state), "step": job.step, "steps": job.steps, "eta_s": job.eta_s}
        return in_text(
            f"{_standing(job)}. Call get_job with job_id {job.id} to wait for it, cancel_job to stop it", facts
        )

    async def _follow_or_cancel(self, job_id: str, ctx: Context, wait_s: float) -> None:
        """Wait for a job, and cancel it when its client cancels the call or hangs up."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_on_hangup, job_id, ctx)
                await self._follow(job_id, ctx, wait_s)
                group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            if self._is_cancelled(ctx):
                with anyio.CancelScope(shield=True):
                    await self._service.cancel(job_id, "its client cancelled the call")
            raise

    def _is_cancelled(self, ctx: Context) -> bool:
        """Whether a call that is broken off was so by its client, by hanging up or, in a session, by saying so."""
        return hung_up(ctx).is_set() or (_SESSION in request_of(ctx).headers and not self.ending)

    async def _cancel_on_hangup(self, job_id: str, ctx: Context) -> None:
        """With sessions the library goes on after a client has hung up: it might come back, which none here can."""
        await hung_up(ctx).wait()
        await self._service.cancel(job_id, "its client hung up")

    async def _follow(self, job_id: str, ctx: Context, wait_s: float) -> None:
        """Tell of a job's progress until it ends, the time is over, or the server ends."""
        with anyio.move_on_after(wait_s):
            async with aclosing(self._service.watch(job_id)) as events:  # type: ignore[type-var]
                async for event in events:
                    if event.steps and event.name == "step":
                        await ctx.report_progress(event.step, event.steps, _progress(event))
                    if event.final:
                        return


def _progress(event: JobEvent) -> str:
    return f"step {event.step} of {event.steps}"


def _standing(job: JobView) -> str:
    left = f", about {max(1, round(job.eta_s))} s left" if job.eta_s is not None else ""
    if job.state is JobState.QUEUED:
        return f"{job.id} waits at place {job.position} of the queue{left}"
    return f"{job.id} is being drawn, step {job.step} of {job.steps}{left}"
