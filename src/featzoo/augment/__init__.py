"""Parallel texts from English ones: `zoo augment`, by any OpenAI-compatible server or a local translation model.

Reference: ADAM (arXiv 2604.08851) trains on translations by a language model that saw the gold labels (PIGA) or did
    not see them (TOGA).
Differences: the prompts are not available. Ours (`prompts/`) are reconstructions from the abstract and from
    the same group's other prompts. Each translation is checked, which the abstract does not mention.
"""
