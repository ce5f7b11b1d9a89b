# Source me: makes .venv beside the code once, installs into it, and activates it.
# PYTHON=python3.12 chooses an interpreter (3.11 or newer); EXTRAS=tpu, cuda12 or cuda13
# installs JAX for that hardware; VENV=.venv-tpu keeps that in a place of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${VENV:-.venv}
if [[ $venv != .venv* || $venv == */* ]]; then
  echo "error: VENV=$venv must be a name that begins with .venv" >&2
  exit 2
fi
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
  echo "error: $python is not Python 3.11 or newer; set PYTHON=/path/to/python" >&2
  exit 2
fi

# The interpreter itself, should a .venv that is about to be made anew be active.
python=$("$python" -c 'import sys; print(sys._base_executable)')
wanted=$(
  "$python" -c 'import sys; print(sys.version)'
  cat requirements.txt pyproject.toml
  echo "${EXTRAS:-}"
)
if [ "$(cat "$venv/installed" 2> /dev/null || true)" != "$wanted" ]; then
  echo "installing into $venv ..." >&2
  rm -rf "$venv"
  "$python" -m venv "$venv"
  if ! "$venv/bin/python" -m pip install --disable-pip-version-check \
    --editable ".[test${EXTRAS:+,$EXTRAS}]" > "$venv/install.log" 2>&1; then
    cat "$venv/install.log" >&2
    echo "error: the installation failed, see above" >&2
    exit 2
  fi
  printf '%s\n' "$wanted" > "$venv/installed"
fi
# shellcheck source=/dev/null
source "$venv/bin/activate"
