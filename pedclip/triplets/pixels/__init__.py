"""Pixels of a film's file: bounds, headers, codestreams, grey levels.

Imports left_out of triplets; `pedclip.triplets.decode` is the door.
"""
