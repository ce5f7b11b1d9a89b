#!/usr/bin/env bash
# Run by tpu.py on each worker of a TPU, in the unpacked code: makes .venv with a Python
# that is new enough (TPU images bring 3.10), the package and JAX for TPUs, in the exact
# versions of ../constraints.txt. PYTHON=/path/to/python is an installation to use as it
# is. Writes all versions to ../versions.txt; its last line is their checksum.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$HOME/.local/bin:$PATH
touch ../constraints.txt

if [ -n "${PYTHON:-}" ]; then
  mkdir -p .venv/bin
  printf '#!/bin/sh\nexec %q "$@"\n' "$PYTHON" > .venv/bin/python
  chmod +x .venv/bin/python
  freeze=(.venv/bin/python -m pip freeze --exclude-editable)
else
  wanted=$(cat requirements.txt pyproject.toml ../constraints.txt)
  if [ "$(cat .venv/installed 2> /dev/null || true)" != "$wanted" ]; then
    command -v uv > /dev/null \
      || python3 -m pip install --quiet --user uv \
      || python3 -m pip install --quiet --user --break-system-packages uv
    uv venv --quiet --clear --python='>=3.11,<3.14' .venv
    uv pip install --quiet --python=.venv/bin/python \
      --constraints=../constraints.txt --editable ".[${EXTRAS:-tpu,gcs}]"
    printf '%s\n' "$wanted" > .venv/installed
  fi
  freeze=(uv pip freeze --python=.venv/bin/python --exclude-editable)
fi
{
  .venv/bin/python --version
  "${freeze[@]}"
} > ../versions.txt
sha256sum < ../versions.txt
