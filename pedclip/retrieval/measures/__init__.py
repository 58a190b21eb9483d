"""Measures of retrieval: recall and its comparison, protocols, films by a film, concepts, the confidence of an answer.

Imports the scores, pairs and training of retrieval, and the metrics of evaluation. Its names are those of
`pedclip.retrieval`.
"""
