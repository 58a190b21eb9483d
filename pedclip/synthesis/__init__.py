"""Synthetic films for pre-training, and measures of how good they are.

Imports triplets, data, models, training and evaluation.
"""
