"""Figures of speed and memory, measured against the real daemon and named baselines."""
