from setuptools import find_packages, setup

PACKAGE = "lrm_policy_node"

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
    description="Policy node, safety stage and learner: an imitation-learned policy refined from rewards alone.",
    entry_points={
        "console_scripts": [
            "lrm_policy_node = lrm_policy_node.ros.node:main",
            "lrm_safety_node = lrm_policy_node.safety.ros.node:main",
            "lrm_learner = lrm_policy_node.learner.ros.node:main",
        ],
    },
)
