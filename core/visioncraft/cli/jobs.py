"""`visioncraft jobs`: look at a running server's queue, watch it, and steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from visioncraft.cli.output import print_json, print_table, print_warnings
from visioncraft.cli.progress import progress_bar
from visioncraft.runtime.client import Client

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(help="The jobs of a running server.", no_args_is_help=True, rich_markup_mode=None)
ServerOption = Annotated[
    str | None, typer.Option(envvar="VISIONCRAFT_URL", help="Its URL; else where the settings have it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="At most so many, newest first.")]
StatusOption = Annotated[str | None, typer.Option(help="Only queued, running, succeeded, failed or cancelled ones.")]
JobsArgument = Annotated[list[str], typer.Argument(help="Their ids.")]
JobArgument = Annotated[str | None, typer.Argument(help="One job, until it ends; else all, until Ctrl-C.")]


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    limit: LimitOption = 20,
    status: StatusOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the newest jobs."""
    chosen = {"limit": limit, **({"status": status} if status else {})}
    found = Client(ctx.obj.settings(), server).ask("GET", "/jobs", params=chosen)["jobs"]
    if as_json:
        print_json(found)
    else:
        print_table(("Job", "Status", "Step", "Left", "Model", "Prompt or error"), [_row(job) for job in found])


@app.command()
def watch(ctx: typer.Context, job: JobArgument = None, server: ServerOption = None) -> None:
    """Show every step of one job, or of all."""
    client = Client(ctx.obj.settings(), server)
    tasks: dict[str, TaskID] = {}
    with progress_bar() as bar:
        for event in client.events_of(job) if job else client.events():
            _show(bar, tasks, event)
    if job is not None:
        _conclude(client.ask("GET", f"/jobs/{job}"))


@app.command()
def cancel(ctx: typer.Context, jobs: JobsArgument, server: ServerOption = None) -> None:
    """Cancel jobs: at once while they wait, within one step while they draw."""
    client = Client(ctx.obj.settings(), server)
    for job in jobs:
        answer = client.ask("DELETE", f"/jobs/{job}")
        typer.echo(f"{answer['id']}: {answer['stage']}")


@app.command()
def pause(ctx: typer.Context, server: ServerOption = None) -> None:
    """Start no further jobs, also after a restart; those that run end."""
    _print_queue(Client(ctx.obj.settings(), server).ask("POST", "/queue/pause"))


@app.command()
def resume(ctx: typer.Context, server: ServerOption = None) -> None:
    """Start jobs again."""
    _print_queue(Client(ctx.obj.settings(), server).ask("POST", "/queue/resume"))


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    left = "" if job["eta_s"] is None else f"{job['eta_s']:.0f} s"
    text = job["error"]["message"] if job["error"] else job["parameters"]["prompt"]
    return job["id"], job["status"], f"{job['step']}/{job['steps']}", left, job["model"], text


def _show(bar: Progress, tasks: dict[str, TaskID], event: dict[str, Any]) -> None:
    if event["id"] not in tasks:
        tasks[event["id"]] = bar.add_task("", total=event["steps"])
    waits = f", {event['position']} in the queue" if event["position"] else ""
    bar.update(tasks[event["id"]], completed=event["step"], description=f"{event['id']}: {event['stage']}{waits}")


def _conclude(job: dict[str, Any]) -> None:
    print_warnings(job.get("warnings", ()))  # a server of 1.0 answers none
    if job["image"] is None:
        typer.echo(f"{job['id']}: {job['status']}" + (f": {job['error']['message']}" if job["error"] else ""), err=True)
        raise typer.Exit(1)
    typer.echo(f"{job['id']}: {job['image']['id']} drawn by {job['model']}, seed {job['seed']}")


def _print_queue(queue: dict[str, Any]) -> None:
    state = "stands still" if queue["paused"] else "goes on"
    typer.echo(f"The queue {state}: {queue['running']} running, {queue['queued']} waiting")
