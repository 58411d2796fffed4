"""What /metrics tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Counters"]

#: Seconds; a picture on a GPU to a long video on a CPU.
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600)


class Counters:
    """The numbers of one server, in a registry of its own.

    Attributes:
        requests: by route and status.
        seconds: from a request's first byte to its answer's last, by route.
        waiting: of ``kind`` answer, video, stream or job: how many wait for the model.
        running: how many the model is at, by kind.
        batches: how many requests were answered together.
        rejected: by reason.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        common = {"namespace": "word2mask", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered", ["route", "status"], **common)
        self.seconds = Histogram("request_seconds", "Time of a request", ["route"], buckets=SECONDS, **common)
        self.waiting = Gauge("queue_length", "Requests that wait for the model", ["kind"], **common)
        self.running = Gauge("running", "Requests that the model is at", ["kind"], **common)
        self.batches = Histogram("batch_size", "Requests answered together", buckets=(1, 2, 4, 8, 16, 32, 64), **common)
        self.rejected = Counter("rejected", "Requests refused before the model saw them", ["reason"], **common)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
