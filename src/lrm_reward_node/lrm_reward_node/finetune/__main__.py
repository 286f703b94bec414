"""``python -m lrm_reward_node.finetune``: the same as ``lrm train reward``, for ``accelerate launch -m``."""

import argparse
import sys

from lrm_core.errors import LrmError
from lrm_reward_node.finetune.command import configure, run


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m lrm_reward_node.finetune")
    configure(parser)
    try:
        return run(parser.parse_args())
    except LrmError as error:
        print(f"lrm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lrm: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
