"""What the figures mean: plain arithmetic on frozen values.

Nothing here reads a clock, a socket, a file or a log; only the standard library is imported.
"""
