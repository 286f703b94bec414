"""Where the shared files are: parameters (``config/``), checkpoints (``models/``) and launch files (``launch/``).

They lie at the root of a source checkout and, once installed, in the share folder of ``lrm_bringup``. A checkout wins,
so that an edited file counts without a new build.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from lrm_core.errors import BadInput

PACKAGE = "lrm_bringup"


def share_dir() -> Path:
    """The folder that holds ``config/``, ``models/`` and ``launch/``; raises :class:`BadInput` when there is none."""
    for folder in (*_checkout(), *_installed()):
        if (folder / "config").is_dir():
            return folder
    raise BadInput("shared folder", PACKAGE, "config/ in a source checkout or an installed package", "Run make setup.")


def config_path(name: str) -> Path:
    """Path of ``config/<name>``; raises :class:`BadInput` when it does not exist."""
    return _existing("config", name)


def model_path(name: str) -> Path:
    """Path of ``models/<name>``; raises :class:`BadInput` when it does not exist."""
    return _existing("models", name)


def launch_path(name: str) -> Path:
    """Path of ``launch/<name>``; raises :class:`BadInput` when it does not exist."""
    return _existing("launch", name)


def locate(uri: str, folder: Path) -> Path:
    """Path of a file named by another file that lies in ``folder``.

    ``package://<package>/<path>`` is a file inside an installed Python package, which is not imported for it; anything
    else is a path, relative to ``folder``. Raises :class:`BadInput` when there is no such package.
    """
    if not uri.startswith("package://"):
        return folder / uri
    package, _, path = uri.removeprefix("package://").partition("/")
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        raise BadInput("file", uri, "package://<package>/<path> with an installed package", f"Install {package}.")
    return Path(found.origin).parent / path


def _existing(kind: str, name: str) -> Path:
    folder = share_dir() / kind
    path = folder / name
    if not path.exists():
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        raise BadInput(f"{kind} file", name, f"one of {names} in {folder}")
    return path


def _checkout() -> list[Path]:
    root = Path(__file__).resolve().parents[3]
    return [root] if (root / "src" / PACKAGE).is_dir() else []


def _installed() -> list[Path]:
    try:
        from ament_index_python.packages import get_package_share_directory

        return [Path(get_package_share_directory(PACKAGE))]
    except (ImportError, LookupError, OSError):  # no ament, package not indexed, AMENT_PREFIX_PATH not set
        return [Path(sys.prefix) / "share" / PACKAGE]
