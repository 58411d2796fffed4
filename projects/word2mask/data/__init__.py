"""From files on disk to batches: media, sources, mixture, encoding, collation."""
