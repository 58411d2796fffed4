"""From the exports of annotation programs to the JSONL of :mod:`word2mask.data.sources.own_data`, one file a format."""
