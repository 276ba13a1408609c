"""A cluster that lives: nodes on the pool model, pods that come and go, and what happens to them.

Time here is simulated and begins at 0; what readers see of time is the cluster's own clock.
"""
