"""Checks offline that every crate metaopt is built from has a licence that GPL-3.0-or-later can be combined with.

Reads `cargo metadata`, which needs no network once the crates are there. Advisories need a database from the network and
are left to public CI.
"""

import json
import re
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "MIT", "MIT-0", "MPL-2.0", "Unicode-3.0", "Unlicense", "Zlib", "CDLA-Permissive-2.0", "GPL-3.0-or-later",
}  # fmt: skip


def allowed(expression: str) -> bool:
    """Whether an SPDX expression (with the old `/` for OR) leaves a choice of allowed licences."""
    text = re.sub(r"\s*/\s*", " OR ", expression)
    # AND binds tighter than OR (SPDX 2.3, annex D.4); parentheses are resolved from the inside.
    while match := re.search(r"\(([^()]*)\)", text):
        inner = "MIT" if allowed(match.group(1)) else "refused"
        text = text[: match.start()] + inner + text[match.end() :]
    return any(all(part.strip() in ALLOWED for part in choice.split(" AND ")) for choice in text.split(" OR "))


def main() -> int:
    """Prints every crate that is refused; the exit status says whether there is one."""
    output = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"], check=True, capture_output=True
    ).stdout
    packages = json.loads(output)["packages"]
    refused = [p for p in packages if not allowed(p.get("license") or "none")]
    for package in refused:
        print(f"{package['name']} {package['version']}: licence {package.get('license')!r} is not on the list", file=sys.stderr)
    print(f"licences: {len(packages) - len(refused)} crates accepted, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
