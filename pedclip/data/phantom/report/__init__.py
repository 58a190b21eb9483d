"""The report of a drawn study: sentences, their wording and their arrangement.

Imports phantom.findings.
"""
