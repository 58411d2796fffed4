"""The page at the end of an evaluation: scores, then questions, answers and masks. One HTML file, nothing to load.

``pictures``     frames with masks → small JPEGs in data URLs
``samples``      which samples are shown, read again from their benchmark
``page``         results and samples → HTML
``differences``  how two runs differ
``style``        the page's CSS
``files``        a report on disk, whole or not at all

``data_cards``, ``data_page`` and ``data_tables`` show a survey of data in the same style.
"""
