"""Evaluation: one file a benchmark, each with the protocol that is printed beside every number it gives.

``interface``   what a benchmark is
``names``       how one is found: ``name:split@protocol``
``protocols``   in what published evaluations differ, switch by switch, and the presets
``records``     what is kept of every sample, on disk, so that a killed run resumes
``runner``      samples → requests → results → records → metrics, on any number of ranks
``summary``     the final table, results.json and results.md
``submission``  records → the zip of a challenge's server
``comparison``  two runs, sample by sample, with an interval
``referring``, ``referring_videos``, ``annotated_media`` and ``captions``: what benchmarks of a kind share
and the benchmarks: ``refcoco``, ``grefcoco``, ``reason_seg``, ``mevis``, ``revos``, ``ref_youtube_vos``, ``ref_davis``,
``reason_vos``, ``ref_sav``, ``gcg``, ``grounded_caption``, ``chat``, ``region``, ``region_caption``.

A new benchmark is one new file here: a subclass of :class:`~word2mask.evaluation.interface.Benchmark` is found by
itself. Nothing here knows of mmengine, of configs or of how a model answers.
"""
