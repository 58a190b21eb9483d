"""The drawn body: bones, joints and soft tissue of each region, at every age.

Imports phantom.imaging only.
"""
