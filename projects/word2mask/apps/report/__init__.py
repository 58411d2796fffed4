"""The page at the end of an evaluation: scores, then questions, answers and masks. One HTML file, nothing to load.

``pictures``  frames with masks → small JPEGs in data URLs
``samples``   which samples are shown, read again from their benchmark
``page``      results and samples → HTML
``style``     the page's CSS
"""
