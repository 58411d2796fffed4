"""Jobs: videos that are worked on while their owner asks now and then how far they are."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from word2mask.apps.server.asking import Question
from word2mask.apps.server.problems import Problem
from word2mask.apps.server.service import Answered, Mailbox, Service

__all__ = ["Job", "Jobs"]


@dataclass
class Job:
    """One video that is worked on.

    Attributes:
        id: how its owner calls it; random, so that it can't be guessed.
        status: ``queued``, ``running``, ``cancelling``, then ``completed``, ``failed`` or ``cancelled``.
        stage: what the session is at.
        progress: of the stage, 0…1.
    """

    id: str = field(default_factory=lambda: f"video-{uuid.uuid4().hex}")
    status: str = "queued"
    stage: str | None = None
    progress: float = 0.0
    created: float = field(default_factory=time.time)
    ended: float | None = None
    answer: Answered | None = None
    problem: Problem | None = None
    mailbox: Mailbox | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.ended is not None

    def notice(self, stage: str, done: int, total: int) -> None:
        """The session is further."""
        if self.status == "queued":
            self.status = "running"
        self.stage, self.progress = stage, done / max(total, 1)

    def end(self, status: str) -> None:
        """It is over."""
        self.status, self.ended = status, time.time()


class Jobs:
    """All jobs that wait, run, or have ended a short while ago. Used in the event loop only.

    Args:
        service: with the worker.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs: dict[str, Job] = {}
        self._followers: set[asyncio.Task[None]] = set()

    def start(self, question: Question) -> Job:
        """Queues a job.

        Raises:
            Problem: too many jobs wait.
        """
        self._forget()
        job = Job()
        job.mailbox = Mailbox(self._service, question, "job", self._service.limits.job_seconds, job.notice)
        job.mailbox.submit()
        self._jobs[job.id] = job
        follower = asyncio.create_task(self._follow(job))
        # The loop itself keeps weak references only.
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        return job

    def find(self, number: str) -> Job:
        """A job by its id.

        Raises:
            Problem: there is none, or it has been forgotten.
        """
        self._forget()
        if number not in self._jobs:
            raise Problem(
                404,
                f"there is no such job; they are kept for {self._service.limits.keep_seconds} s after their end",
                "no_job",
            )
        return self._jobs[number]

    def cancel(self, job: Job) -> None:
        """Ends a job within a frame; one that has ended is forgotten."""
        if job.has_ended:
            del self._jobs[job.id]
        elif job.mailbox is not None:
            job.mailbox.task.cancel()
            job.status = "cancelling"

    def described(self, job: Job) -> dict[str, Any]:
        """A job for its owner."""
        keep = self._service.limits.keep_seconds
        return {
            "id": job.id,
            "object": "video.job",
            "status": job.status,
            "stage": job.stage,
            "progress": round(job.progress, 4),
            "created_at": int(job.created),
            "expires_at": None if job.ended is None else int(job.ended + keep),
            "text": job.answer.text if job.answer else None,
            "word2mask": job.answer.masks if job.answer else None,
            "error": job.problem.content()["error"] if job.problem else None,
        }

    async def _follow(self, job: Job) -> None:
        """Writes down what comes of a job."""
        assert job.mailbox is not None
        while True:
            event = await job.mailbox.next()
            if event.name == "result":
                job.answer, job.stage, job.progress = event.value, None, 1.0
                return job.end("completed")
            if event.name == "error":
                if event.value.code == "cancelled":
                    return job.end("cancelled")
                job.problem = event.value
                return job.end("failed")

    def _forget(self) -> None:
        """Drops jobs that ended a while ago, and the oldest of those that have ended where there are many."""
        now = time.time()
        ended = sorted((job for job in self._jobs.values() if job.ended is not None), key=lambda job: job.ended or 0)
        surplus = len(ended) - 4 * self._service.limits.jobs
        for place, job in enumerate(ended):
            if place < surplus or now - (job.ended or 0) > self._service.limits.keep_seconds:
                del self._jobs[job.id]
