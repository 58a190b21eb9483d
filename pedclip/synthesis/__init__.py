"""Synthetic films for pre-training, and measures of how good they are."""
