"""What a config would train, on what, for how long and with how much memory; found out without weights or data."""
