"""Films and reports as a hospital hands them over: files, tables of reports, studies, and the region of each film.

Imports curation.report and triplets.
"""
