"""
Where prices come from; one adapter each.
"""
