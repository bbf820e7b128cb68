"""Lets PyTorch's wheel for CUDA be imported without CUDA's libraries, where only its CPU half is wanted.

The package index has no wheel for Linux without CUDA, and CUDA's own packages are gigabytes. What the wheel asks of them is
made here: empty libraries, whose functions all answer "no device" (100). They are never called for more where no GPU is
used. Usage: python absent_cuda.py SITE_PACKAGES. It needs the C compiler and binutils that Rust needs, too.
"""

import pathlib
import re
import subprocess
import sys

CUDA = re.compile(r"lib(cu|nv|nccl)[\w]*\.so\.\d+$")
FUNCTION = re.compile(r"(__)?(cu|nccl|nv)\w+$")


def run(*command: str, text: str | None = None) -> str:
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def main(site_packages: str) -> None:
    folder = pathlib.Path(site_packages) / "torch" / "lib"
    libraries = [str(path) for path in folder.glob("lib*.so")]
    dynamic = run("readelf", "-dW", *libraries)
    needed = {name for name in re.findall(r"NEEDED.*\[(.*)\]", dynamic) if CUDA.match(name)}
    # What versions are asked of each library, and of which functions.
    versions: dict[str, set[str]] = {name: set() for name in needed}
    file = ""
    for line in run("readelf", "-VW", *libraries).splitlines():
        if found := re.search(r"File: (\S+)", line):
            file = found[1]
        elif (found := re.search(r"Name: (\S+)  Flags", line)) and file in needed:
            versions[file].add(found[1])
    functions: dict[str, set[str]] = {}
    undefined = run("nm", "-D", "--undefined-only", "--with-symbol-versions", *libraries)
    for name, version in re.findall(r" U (\w+)(?:@+(\S+))?", undefined):
        if FUNCTION.match(name):
            functions.setdefault(version, set()).add(name)
    unversioned = functions.get("", set())
    for library in needed:
        here = {version: functions.get(version, set()) for version in versions[library]}
        names = sorted(unversioned.union(*here.values()))
        labels = "".join(f".globl {name}\n.type {name},@function\n{name}:\n" for name in names)
        assembly = f'.text\n{labels}mov $100, %eax\nret\n.section .note.GNU-stack,"",@progbits\n'
        script = "".join(
            f"{version} {{ global: {' '.join(f'{name};' for name in sorted(names))} }};\n"
            for version, names in here.items()
            if names
        )
        script_path = folder / f"{library}.map"
        script_path.write_text(script)
        run(
            "cc", "-shared", "-nostdlib", "-x", "assembler", "-", f"-Wl,-soname,{library}",
            *([f"-Wl,--version-script={script_path}"] if script else []),
            "-o", str(folder / library), text=assembly,
        )  # fmt: skip
        script_path.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
