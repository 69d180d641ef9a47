"""The metrics themselves, by the names and base units that Prometheus asks for.

https://prometheus.io/docs/practices/naming/. Labels are bounded: models, engines and keys are what the server has, and
never a prompt, an id of a job or a key's secret.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
"""Upper bounds in seconds: from one step of a small model to a long film of a queue."""


@dataclass(frozen=True, slots=True)
class Meters:
    """What is counted, and what was seen at the last look.

    Args:
        registry: Holds them all.
        jobs: Jobs that ended, by model, engine and outcome.
        job_s: How long those that succeeded took, from their start.
        queue_s: How long jobs waited for their start.
        load_s: How long models took to load.
        steps: Denoising steps done.
        images: Images stored.
        key_jobs: Jobs that ended, by whose they are.
        waiting: Jobs that wait.
        running: Jobs that run.
        gallery: Images in the gallery.
        disk_free: Bytes free where the data are.
        memory: Bytes of a device's memory, by device and kind (`used`, `free`, `total`).
        last_look: When memory, gallery and disk were last looked at, in seconds since 1970.
    """

    registry: CollectorRegistry
    jobs: Counter
    job_s: Histogram
    queue_s: Histogram
    load_s: Histogram
    steps: Counter
    images: Counter
    key_jobs: Counter
    waiting: Gauge
    running: Gauge
    gallery: Gauge
    disk_free: Gauge
    memory: Gauge
    last_look: Gauge


def make_meters() -> Meters:
    """All of them at zero, in a registry of their own, with those of this process and of Python."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    by_model = ("model", "engine")

    def histogram(name: str, text: str) -> Histogram:
        return Histogram(f"visioncraft_{name}", text, by_model, registry=registry, buckets=_SECONDS)

    def counter(name: str, text: str, labels: tuple[str, ...] = by_model) -> Counter:
        return Counter(f"visioncraft_{name}", text, labels, registry=registry)

    def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"visioncraft_{name}", text, labels, registry=registry)

    return Meters(
        registry=registry,
        jobs=counter("jobs", "Jobs that ended", (*by_model, "outcome")),
        job_s=histogram("job_seconds", "From the start of a job to its end, of those that succeeded"),
        queue_s=histogram("queue_seconds", "From the acceptance of a job to its start"),
        load_s=histogram("model_load_seconds", "How long a job waited for its model to load"),
        steps=counter("steps", "Denoising steps done"),
        images=counter("images", "Images stored"),
        key_jobs=counter("key_jobs", "Jobs that ended, by the key that asked for them", ("key", "outcome")),
        waiting=gauge("queue_depth", "Jobs that wait"),
        running=gauge("jobs_running", "Jobs that run"),
        gallery=gauge("gallery_images", "Images in the gallery"),
        disk_free=gauge("disk_free_bytes", "Free bytes on the disk of the data folder"),
        memory=gauge("vram_bytes", "Memory of a device", ("device", "kind")),
        last_look=gauge("last_look_timestamp_seconds", "When memory, gallery and disk were last looked at"),
    )
