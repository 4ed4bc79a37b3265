"""Parallel texts from English ones: `zoo augment`, by any OpenAI-compatible server or a local translation model.

Reference: ADAM (arXiv 2604.08851) trains on translations that a language model made with the gold labels in sight
    (PIGA) or without them (TOGA).
Differences: neither prompt is published in reach. Ours (`prompts/`) are reconstructions from the abstract and from
    the same group's other prompts. Each translation is checked, which the abstract does not speak of.
"""
