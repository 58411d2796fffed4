"""What can be annotated, one file a kind: each becomes videos with masklets in SA-V's layout."""
