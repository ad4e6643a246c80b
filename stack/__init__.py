"""
A first look: simulator, armed guard and Prometheus on loopback (``make stack``), and a compose file that adds Grafana.

Nothing of this is part of the guard; it stands outside the package and is not shipped.
"""
