"""The safety stage: a process of its own between the policy and the robot, and the only publisher of ``command``."""
