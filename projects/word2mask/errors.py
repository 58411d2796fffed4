"""The one exception that means: the user can put this right."""

from __future__ import annotations


class UserError(Exception):
    """Bad input, said in one sentence: what and where, what was expected, what to do.

    The tools catch exactly this class, print its message to stderr and exit with code 2; anything else is a defect of
    ours and keeps its stack trace.
    """
