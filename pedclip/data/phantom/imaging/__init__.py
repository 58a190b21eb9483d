"""From shapes to a film: thickness, attenuation, exposure, noise and markers.

Imports nothing else of the phantom.
"""
