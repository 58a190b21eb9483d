"""Identifiers in texts and in pixels, found before anything is written.

Imports triplets only.
"""
