"""A report taken apart: sections, labels, sentences, their types, and the regions that were filmed.

Imports anatomy and the identifiers of curation.privacy.
"""
