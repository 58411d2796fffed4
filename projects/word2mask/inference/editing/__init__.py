"""From words to an edited picture or video: what is meant, when, and how it is to look. edit.py is the way in."""
