"""``python -m lrm_reward_node.training``: the same as ``lrm train reward-model``."""

import sys

from lrm_reward_node.cli import main

if __name__ == "__main__":
    sys.exit(main())
