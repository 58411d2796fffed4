"""One file a data set, each a :class:`~word2mask.data.sources.interface.Source`: its format on disk to Samples."""
