"""A language model as extractor: prompts, client, and responses, cached and each checked against its report.

Imports curation.report only; nothing is sent unless the user names an endpoint.
"""
