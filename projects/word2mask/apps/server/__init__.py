"""The HTTP server: OpenAI's chat format with masks, segmentation, and jobs for videos (extra apps)."""
