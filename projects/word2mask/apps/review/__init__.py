"""The review of annotations: one object after another, its outline and its three texts, keep or drop."""
