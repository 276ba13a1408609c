"""Doors out: what a report looks like to Prometheus and to people."""
