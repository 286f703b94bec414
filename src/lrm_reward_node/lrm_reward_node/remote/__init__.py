"""The reward model on another machine, behind an OpenAI-compatible server such as vLLM or SGLang.

``distribution`` reads answers from token log-probabilities, ``chat`` is the protocol, ``breaker`` decides who is asked,
``server`` and ``pool`` ask, ``probe`` proves a server before it is used, ``model`` is the
:class:`lrm_reward_node.model.RewardModel`. How to serve: ``docs/serving.md``.
"""
