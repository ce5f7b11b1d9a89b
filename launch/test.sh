#!/usr/bin/env bash
# Lint, then the test suite. Arguments go to pytest: launch/test.sh tests/signal -x
source "$(dirname "$0")/setup.sh"

ruff check .
ruff format --check .
pytest -q "$@"
