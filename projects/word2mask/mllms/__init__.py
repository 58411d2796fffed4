"""Multimodal language models: one interface, one file a backbone family."""
