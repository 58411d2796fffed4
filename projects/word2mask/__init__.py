"""word2mask: language that points at pixels."""

# Registers the exported models with transformers, so that AutoModel reads them after ``import word2mask``.
from word2mask.export import hf as _hf  # noqa: F401

__version__ = "0.1.0"

__all__ = ["__version__"]
