"""
The Grafana dashboards as code: ``python -m dashboards`` writes them to helm/cost-guard/dashboards, where they are committed.

A panel is a function call with its question (``queries``), its looks (``panels``) and a place on a board (``board``). To show a
new metric, add one call to one of the three boards and run the command.
"""
