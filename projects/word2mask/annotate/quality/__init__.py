"""Which expressions to keep, and what they are like."""
