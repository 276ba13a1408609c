"""Doors in: one module per outside system, its SDK imported nowhere else.

A door returns the core's own values, raises only `Unavailable`, and knows no other door's clients.
"""
