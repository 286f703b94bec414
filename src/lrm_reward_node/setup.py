from setuptools import find_packages, setup

PACKAGE = "lrm_reward_node"

setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed", "**/*.xml", "**/*.json", "**/*.html", "**/*.css", "**/*.jinja"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    license="Apache-2.0",
    description="Vision-language reward node: three reward heads, live on ROS 2 topics.",
    entry_points={
        "console_scripts": [
            "lrm_reward_node = lrm_reward_node.ros.node:main",
        ],
        "lrm.reward_modes": [
            "contrastive = lrm_reward_node.modes.builtin:CONTRASTIVE",
            "completion = lrm_reward_node.modes.builtin:COMPLETION",
            "progress = lrm_reward_node.modes.builtin:PROGRESS",
            "tri = lrm_reward_node.modes.builtin:TRI",
            "roboreward = lrm_reward_node.modes.builtin:ROBOREWARD",
            "robometer = lrm_reward_node.modes.builtin:ROBOMETER",
            "topreward = lrm_reward_node.modes.builtin:TOPREWARD",
        ],
    },
)
