"""
The history of the ledger's schema; each revision is written once and never changed after a release.
"""
