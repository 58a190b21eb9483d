"""A language model as extractor: prompts, client, cache of responses, and the check of every answer against the report.

Imports curation.report only; nothing is sent unless the user names an endpoint.
"""
