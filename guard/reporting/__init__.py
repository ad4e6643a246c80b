"""
The report for people and machines: a few sections of rows, written as a table, JSON, CSV, Markdown or HTML.

No file is read in here and no ledger. Whatever a job or a user is called, no format lets it act: no markup, no control
characters, no marks that turn text around, no formulas.
"""
