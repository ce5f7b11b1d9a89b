#!/usr/bin/env bash
# Lint, then the test suite, three files at a time: compiling takes one core, and most of
# the time, and some tests wait. Arguments go to pytest: launch/test.sh tests/signal -x
source "$(dirname "$0")/setup.sh"

ruff check .
ruff format --check .
pytest -q --numprocesses=3 --dist=loadfile "$@"
