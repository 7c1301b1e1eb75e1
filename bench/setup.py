"""What every program of this folder shares: the folder of the run, the control groups, the tools, the packages."""
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import harness
import measure
import packages

TOP = pathlib.Path(__file__).resolve().parents[1]


class Bench:
    def __init__(self, options, folder, cgroups):
        self.folder, self.cgroups, self.build = folder, cgroups, pathlib.Path(options.build)
        self.size, self.seconds, self.fanout = (getattr(options, n, None) for n in ("size", "seconds", "fanout"))
        self.certificate = harness.make_certificate(folder, "bench", ["mail.bench.example"])
        self.sink_port, self.packages = None, packages.Packages(folder)

    def tool(self, name):
        return self.build / "bench" / name

    def unpacked(self, name):
        return self.packages.get(name)


def add_options(parser):
    parser.add_argument("--build", default=os.environ.get("STAFFETTA_BUILD", str(TOP / "build")))
    parser.add_argument("--folder", default=None, help="where all put their data; a fresh one below it for every round")


@contextlib.contextmanager
def opened(options):
    """The Bench of a run; what it made is gone afterwards."""
    if os.geteuid() != 0:
        sys.exit("root is needed: mount namespaces and a control group")
    if options.folder:
        tempfile.tempdir = options.folder
    os.environ["STAFFETTA_BUILD"] = options.build
    measure.lift_files()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-bench-"))
    os.chmod(folder, 0o755)
    try:
        with measure.cgroups() as cgroups:
            yield Bench(options, folder, cgroups)
    finally:
        shutil.rmtree(folder, True)
