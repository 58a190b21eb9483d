"""Synthetic films from reports: generators, copies of a set with films replaced, and their quality.

Imports triplets, models, training and evaluation.
"""
