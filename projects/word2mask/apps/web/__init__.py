"""The web page: a picture or video, a conversation about it, and masks of what the words mean (extra apps)."""

from word2mask.apps.web.command import main

__all__ = ["main"]
