"""Evaluation: one file a benchmark, each with the protocol that is printed beside every number it gives.

``interface``   what a benchmark is, and how one is found by name
``records``     what is kept of every sample, on disk, so that a killed run resumes
``runner``      samples → requests → results → records → metrics, on any number of ranks
``summary``     the final table, results.json and results.md
and the benchmarks: ``refcoco``, ``grefcoco``, ``reason_seg``, ``mevis``, ``grounded_caption``, ``chat``, ``region``.

A new benchmark is one new file here: a subclass of :class:`~word2mask.evaluation.interface.Benchmark` is found by
itself. Nothing here knows of mmengine, of configs or of how a model answers.
"""
