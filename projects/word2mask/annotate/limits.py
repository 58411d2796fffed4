"""How fast and how much may be asked: a rate of requests, and a budget of tokens."""

from __future__ import annotations

import asyncio
import time

from word2mask.errors import UserError

__all__ = ["BudgetSpent", "RateLimit", "TokenBudget"]


class BudgetSpent(UserError):
    """The budget of tokens is spent; what was answered is kept."""


class RateLimit:
    """Spaces requests evenly.

    Args:
        per_minute: how many; ``None`` lets all through.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._next = 0.0

    async def wait(self) -> None:
        """Until the next request may go."""
        if not self._gap:
            return
        now = time.monotonic()
        start = max(self._next, now)
        self._next = start + self._gap
        if start > now:
            await asyncio.sleep(start - now)


class TokenBudget:
    """Counts tokens, and stops a run that has spent its share.

    Attributes:
        prompt_tokens: of this run so far.
        completion_tokens: of this run so far.

    Args:
        limit: prompt and answer tokens together; ``None`` counts only.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def check(self) -> None:
        """Called before a request.

        Raises:
            BudgetSpent: the limit is reached.
        """
        spent = self.prompt_tokens + self.completion_tokens
        if self.limit is not None and spent >= self.limit:
            raise BudgetSpent(
                f"the budget of {self.limit} tokens is spent ({spent}); what was answered is kept: run again with a "
                "larger token_budget to go on"
            )

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """What an answer took."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
