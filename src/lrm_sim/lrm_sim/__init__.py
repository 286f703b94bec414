"""The simulated robot: MuJoCo arm, Gymnasium environment, scripted expert, datasets, and the ROS 2 node."""
