"""The grounded model: a language model that sees, a segmenter that is prompted, and the projector between them."""
