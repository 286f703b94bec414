"""Tasks of another simulator, MetaWorld, as episodes: another arm, other things, other verbs, no training on them.

Needs the optional dependency ``metaworld`` (``pip install metaworld``); nothing else in the package does.
"""
