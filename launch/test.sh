#!/usr/bin/env bash
# Lint, then the test suite, two files at a time: compiling takes one core, and most of
# the time. Arguments go to pytest: launch/test.sh tests/signal -x
source "$(dirname "$0")/setup.sh"

ruff check .
ruff format --check .
pytest -q --numprocesses=2 --dist=loadfile "$@"
