"""Writes dashboards/grafana from what the catalog knows.

Each board is a module; `promql` makes the expressions, `panels` the JSON of each kind of panel,
`board` the dashboard around them.
"""
