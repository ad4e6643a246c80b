"""
The running guard: cycle, deadlines, kill protocol, policy reload, metrics and endpoints.

Knows the ports and the core, never ModelArts' wire, the ledger's SQL or the environment.
"""
