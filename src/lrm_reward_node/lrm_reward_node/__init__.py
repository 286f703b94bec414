"""Vision-language rewards: prompts, parsing, the model, its training and evaluation, and the ROS 2 node."""
