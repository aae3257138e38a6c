#!/usr/bin/env python3
"""Makes kyuu's package for Debian 12 of its two programs (packaging/README.md).

The same inputs give the same bytes: files are in order, of root, and as old as
SOURCE_DATE_EPOCH or else the newest entry of the Debian changelog.
"""

import argparse
import email.utils
import gzip
import hashlib
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import manual  # noqa: E402


def read(path):
    with open(path, "rb") as file:
        return file.read()


def text(path):
    return read(path).decode()


def stripped(program):
    """What runs of a program, without what debuggers want."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "program")
        subprocess.run(["strip", "--strip-all", "--remove-section=.comment",
                        "--remove-section=.note", "-o", out, program], check=True)
        return read(out)


def packed(content):
    return gzip.compress(content, 9, mtime=0)


def completions(kyuu, kyuud):
    """What shells complete behind the two, where each shell looks for it."""
    files = {}
    for shell, path in (("bash", "bash-completion/completions/{}"),
                        ("zsh", "zsh/vendor-completions/_{}"),
                        ("fish", "fish/vendor_completions.d/{}.fish")):
        for name, program in (("kyuu", kyuu), ("kyuud", kyuud)):
            files["usr/share/" + path.format(name)] = (
                0o644, manual.ask(program, "completion", shell).encode())
    return files


def contents(options, version, date):
    """What is installed: path to (mode, bytes)."""
    kyuu, kyuud = (os.path.abspath(p) for p in (options.kyuu, options.kyuud))
    unit = text(options.unit).replace("/usr/local/bin/", "/usr/bin/")
    day = email.utils.formatdate(date, usegmt=True)[5:16]
    doc = "usr/share/doc/kyuu/"
    return {
        "usr/bin/kyuu": (0o755, stripped(kyuu)),
        "usr/bin/kyuud": (0o755, stripped(kyuud)),
        "lib/systemd/system/kyuud.service": (0o644, unit.encode()),
        "etc/kyuud/kyuud.toml": (0o644, manual.ask(kyuud, "config", "default").encode()),
        **completions(kyuu, kyuud),
        "usr/share/man/man1/kyuu.1.gz":
            (0o644, packed(manual.kyuu(kyuu, version, day).encode())),
        "usr/share/man/man8/kyuud.8.gz":
            (0o644, packed(manual.kyuud(kyuud, version, day).encode())),
        "usr/share/man/man5/kyuud.toml.5.gz":
            (0o644, packed(manual.kyuud_toml(kyuud, version, day).encode())),
        doc + "copyright": (0o644, read(os.path.join(options.debian, "copyright"))),
        "usr/share/lintian/overrides/kyuu":
            (0o644, read(os.path.join(options.debian, "lintian-overrides"))),
        doc + "changelog.gz": (0o644, packed(read(options.news))),
        doc + "changelog.Debian.gz":
            (0o644, packed(read(os.path.join(options.debian, "changelog")))),
    }


def tar(files, date, preset):
    """An archive of `files` and of the folders that they are in, by xz."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        def add(path, mode, content=None):
            entry = tarfile.TarInfo("./" + path)
            entry.mode, entry.mtime, entry.uname, entry.gname = mode, date, "root", "root"
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            archive.addfile(entry, io.BytesIO(content or b""))
        folders = {path[:slash.start()] for path in files for slash in re.finditer("/", path)}
        add("", 0o755)
        for path in sorted(folders | files.keys()):
            add(path, *files.get(path, (0o755,)))
    # One thread and one filter, so that the machine's size changes nothing.
    return lzma.compress(out.getvalue(), preset=preset)


def ar(members, date):
    """deb(5): an archive of ar."""
    out = b"!<arch>\n"
    for name, content in members:
        out += f"{name:<16}{date:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def control(options, version, files):
    values = {
        "VERSION": version,
        "ARCHITECTURE": subprocess.run(["dpkg", "--print-architecture"], check=True,
                                       capture_output=True, text=True).stdout.strip(),
        # In KiB, each file rounded up (Debian policy, 5.6.20).
        "INSTALLED_SIZE": str(sum(-(-len(content) // 1024) for _, content in files.values())),
    }
    filled = re.sub("@(\\w+)@", lambda m: values[m[1]],
                    text(os.path.join(options.debian, "control")))
    sums = "".join(f"{hashlib.md5(content).hexdigest()}  {path}\n"
                   for path, (_, content) in sorted(files.items()) if not path.startswith("etc/"))
    scripts = {name: (0o755, read(os.path.join(options.debian, name)))
               for name in ("postinst", "prerm", "postrm")}
    return scripts | {"control": (0o644, filled.encode()), "md5sums": (0o644, sums.encode()),
                      "conffiles": (0o644, "".join(f"/{path}\n" for path in files if
                                                   path.startswith("etc/")).encode())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("kyuu", "kyuud", "unit", "version", "news", "control", "build", "out"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    options.debian = os.path.dirname(options.control)
    changelog = text(os.path.join(options.debian, "changelog"))
    upstream, version = text(options.version).strip(), re.match(r"kyuu \((.*?)\)", changelog)[1]
    if version.rpartition("-")[0] != upstream:
        sys.exit(f"the newest entry of packaging/debian/changelog is not of {upstream}")
    # What is for tests never stands in the way of what is for people.
    if options.build != "opt":
        version += "~" + options.build
    date = os.environ.get("SOURCE_DATE_EPOCH")
    if date is None:
        date = email.utils.mktime_tz(email.utils.parsedate_tz(
            re.search(r"(?m)^ -- .*>  (.*)$", changelog)[1]))
    date = int(date)
    files = contents(options, upstream, date)
    preset = 6 if options.build == "opt" else 0
    package = ar([("debian-binary", b"2.0\n"),
                  ("control.tar.xz", tar(control(options, version, files), date, preset)),
                  ("data.tar.xz", tar(files, date, preset))], date)
    with open(options.out, "wb") as file:
        file.write(package)


if __name__ == "__main__":
    main()
