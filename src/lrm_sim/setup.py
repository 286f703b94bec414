from setuptools import find_packages, setup

PACKAGE = "lrm_sim"

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
    description="Simulated robot arm with two cameras behind the topics of a real one, and its scripted expert.",
    entry_points={
        "console_scripts": [
            "lrm_sim_node = lrm_sim.ros.node:main",
            "lrm_gazebo_node = lrm_sim.ros.gazebo_node:main",
        ],
        "lrm.episode_sources": [
            "sim = lrm_sim.episode_source:SPEC",
        ],
    },
)
