"""Programs for people: argument to request, result to display. No tensors."""
