"""Ref-SAV: videos with masks → referring expressions, written by models and checked by models."""
