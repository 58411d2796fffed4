"""The command ``word2mask``: ask, chat, batch, web, serve."""
