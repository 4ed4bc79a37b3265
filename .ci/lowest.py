"""Print the lowest versions that setup.cfg allows, as constraints for pip; torch and torchvision as in constraints.txt.

Ray and py-feat are left out: their tests have environments of their own.
"""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
APART = {"ray", "py-feat", "torch", "torchvision"}

config = configparser.ConfigParser()
config.read(ROOT / "setup.cfg")
blocks = [config["options"]["install_requires"], *config["options.extras_require"].values()]
lowest = dict(re.findall(r"^([\w.-]+)>=([\w.]+)", "\n".join(blocks), flags=re.MULTILINE))
for name, version in sorted(lowest.items()):
    if name not in APART:
        print(f"{name}=={version}")
for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
    if re.match(r"torch(vision)?==", line):
        print(line.partition("#")[0].strip())
