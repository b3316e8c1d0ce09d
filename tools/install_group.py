"""Install one of pyproject's dependency groups with any pip: older ones do not know `--group`."""

import subprocess
import sys
import tomllib
from pathlib import Path

group, constraints = sys.argv[1:]
wanted = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"][group]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", "--constraint", constraints, *wanted]))
