from setuptools import find_packages, setup

PACKAGE = "lrm_robot_driver"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    license="Apache-2.0",
    description="ROS 2 driver of the arms and cameras that LeRobot drives, and teleoperation by its leaders.",
    entry_points={
        "console_scripts": [
            "lrm_robot_driver = lrm_robot_driver.ros.node:main",
            "lrm_teleop = lrm_robot_driver.ros.teleop_node:main",
        ],
    },
)
