"""Debian packages unpacked into a folder: programs to test with that must not be installed, because they bring a service or
take /usr/sbin/sendmail for themselves. The cache (STAFFETTA_CACHE or the user's) spares a second download."""
import os
import pathlib
import subprocess
import tempfile


def cache():
    """The folder that spares a second download."""
    folder = pathlib.Path(os.environ.get("STAFFETTA_CACHE", pathlib.Path(tempfile.gettempdir()) / f"staffetta-cache-{os.geteuid()}"))
    folder.mkdir(mode=0o755, exist_ok=True)
    return folder


def unpack(folder, *packages):
    """The files of the packages below folder."""
    downloads = cache()
    for package in packages:
        if not list(downloads.glob(f"{package}_*.deb")):
            done = subprocess.run(["apt-get", "download", package], cwd=downloads, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"apt-get download {package}: {done.stderr.strip()}")
        subprocess.run(["dpkg", "-x", sorted(downloads.glob(f"{package}_*.deb"))[-1], folder], check=True)
    return pathlib.Path(folder)
