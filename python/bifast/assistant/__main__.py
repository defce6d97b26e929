"""Run a module as a program to which `pymicro_wakeword` is our module of that shape.

python -m bifast.assistant MODULE [ARGUMENT ...]
"""

import runpy
import sys

from bifast.assistant import micro_wakeword

if len(sys.argv) < 2:
    raise SystemExit("use: python -m bifast.assistant MODULE [ARGUMENT ...]")
sys.modules["pymicro_wakeword"] = micro_wakeword
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
