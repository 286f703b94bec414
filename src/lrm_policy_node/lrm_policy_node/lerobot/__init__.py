"""LeRobot: training an ACT policy on demonstrations, and the adapter that runs it as a base policy."""
