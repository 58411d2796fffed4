"""Questions in, answers and masks out."""
