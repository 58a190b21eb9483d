"""What can be wrong with a drawn body, as changes of its shapes.

Imports phantom.body and phantom.imaging.
"""
