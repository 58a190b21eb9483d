"""Findings of a drawn body, as changes of its shapes.

Imports phantom.body and phantom.imaging.
"""
