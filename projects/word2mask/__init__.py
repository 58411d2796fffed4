"""word2mask: language that points at pixels."""

__version__ = "0.1.0"
