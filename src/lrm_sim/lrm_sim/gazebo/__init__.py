"""The scene for Gazebo, written from the same model that MuJoCo runs, so that the two cannot drift apart.

``description`` reads the compiled MuJoCo model, ``world`` writes the SDF, ``urdf`` the arm, ``wiring`` the bridge and
the controllers, ``files`` keeps ``config/gazebo`` up to date, ``moments`` and ``mirror`` turn Gazebo's topics into
observations and truth. No ROS and no Gazebo library is imported here.
"""
