"""How the stages are run: on one machine, or on a cluster."""
