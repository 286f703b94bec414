from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "lrm_bringup"
# Links to the folders at the root of the repository: ament_python installs only what lies below its package.
SHARED = ("launch", "config", "models")


def shared_files() -> list[tuple[str, list[str]]]:
    """One (installed folder, files) pair for every folder below launch/, config/ and models/."""
    folders: dict[str, list[str]] = {}
    for path in (p for name in SHARED for p in sorted(Path(name).rglob("*"))):
        if path.is_file() and "__pycache__" not in path.parts:
            folders.setdefault(f"share/{PACKAGE}/{path.parent}", []).append(str(path))
    return sorted(folders.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed", "**/*.xml", "**/*.json", "**/*.html", "**/*.css", "**/*.jinja"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    license="Apache-2.0",
    description="The lrm program, launch files, parameters, models, recorder and demonstration.",
    entry_points={
        "console_scripts": [
            "lrm = lrm_bringup.cli:main",
            "lrm_recorder = lrm_bringup.recorder.ros.node:main",
            "lrm_player = lrm_bringup.player.ros.node:main",
        ],
        "lrm.episode_sources": [
            "bags = lrm_bringup.data.bag_source:SPEC",
        ],
    },
)
