"""Words: special tokens, chat templates, conversations to ids, questions and answers."""
