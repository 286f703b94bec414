"""``python -m lrm_reward_node.finetune``: the same as ``lrm train reward``, for ``accelerate launch -m``."""

import argparse
import sys

from lrm_core.errors import exit_code
from lrm_reward_node.finetune.command import configure, run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m lrm_reward_node.finetune")
    configure(parser)
    return exit_code("lrm", lambda: run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
