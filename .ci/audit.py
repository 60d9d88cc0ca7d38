"""Look the pinned dependencies up in a database of known weaknesses, where one can be reached.

`python .ci/audit.py`: exit status 1 for a dependency with a known weakness, 0 otherwise, also where
no database answers in time; one line says which.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

_LIMIT_S = 180
_DATABASES = ("pypi", "osv")
_PINNED = Path(__file__).parents[1] / "constraints.txt"


def main() -> int:
    """Ask one database after the other until one knows at least half of the dependencies."""
    reasons = []
    for database in _DATABASES:
        try:
            answer = _ask(database)
        except (ValueError, subprocess.TimeoutExpired) as error:
            reasons.append(f"{database}: {str(error)[-160:]}")
            continue
        known = [entry for entry in answer if "skip_reason" not in entry]
        if 2 * len(known) < len(answer):
            reasons.append(f"{database} knows {len(known)} of {len(answer)}")
            continue
        weak = [entry for entry in known if entry["vulns"]]
        for entry in weak:
            ids = ", ".join(
                f"{vuln['id']} (fixed in {', '.join(vuln['fix_versions']) or 'no version'})"
                for vuln in entry["vulns"]
            )
            print(f"{entry['name']} {entry['version']}: {ids}")
        print(f"dependencies: {len(weak)} of {len(known)} with a known weakness ({database})")
        return 1 if weak else 0
    print(f"dependencies: not audited, no database could be reached: {'; '.join(reasons)}")
    return 0


def _ask(database: str) -> list[dict]:
    """What a database knows of every pinned dependency.

    Raises:
        ValueError: it did not answer.
        TimeoutExpired: not in time.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        # A build without its local part: databases know 2.13.0, not 2.13.0+cpu.
        file.write(re.sub(r"\+[\w.]+$", "", _PINNED.read_text(encoding="utf-8"), flags=re.M))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"]
        command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
        command += ["--vulnerability-service", database, "--timeout", "5"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    try:
        answer: list[dict] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise ValueError(lines[-1]) from None
    return answer


if __name__ == "__main__":
    sys.exit(main())
