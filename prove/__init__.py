"""Experiments that take long: each does to the product what must not harm it, and says how often, and what failed.

`python -m prove [NAME...] [--scale 0.1] [--seed N] [--only NUMBER]`
"""
