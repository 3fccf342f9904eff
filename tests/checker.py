"""The checker of proof files, copied out of its package."""

import subprocess
import sys

CODE = (
    "import sys, numpy as np; from verify import verify; data = np.load('data.npz');"
    "print(verify('p.npz', data['X'], data['y'])[2], 'gapless' in sys.modules)"
)


def copy_says(folder):
    """What the copy in ``folder`` says of the proof there, and whether it imported the package."""
    run = [sys.executable, "-c", CODE]
    return subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True).stdout
