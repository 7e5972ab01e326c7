#!/usr/bin/env bash
# What every backbone does on a GPU, with plain PyTorch beside it, in under nine minutes.
#
#   benchmarks/gpu_check.sh [options of benchmarks/gpu/check.py]
#
# For a machine with a GPU, JAX for it and perhaps PyTorch, but no network and no TensorFlow. What
# else is needed is carried there as wheels: benchmarks/gpu_wheels.sh fetches them, and this script
# installs them into a temporary folder. Figures go to $OUT, or else to results/reference/.
# Without a GPU it stops, unless --out names a folder for what are then a CPU's figures:
#
#   benchmarks/gpu_check.sh --out /tmp/try --images 64 --input-size 64 --batch-size 16 \
#       --forward-batch 32 --backbones mobilenetv2,resnet50
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-build/gpu_wheels}
export KERAS_BACKEND=${KERAS_BACKEND:-jax}
export XLA_PYTHON_CLIENT_PREALLOCATE=${XLA_PYTHON_CLIENT_PREALLOCATE:-false} # as PyTorch does
export PYTHONUNBUFFERED=1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

if compgen -G "$WHEELS/*.whl" >/dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH="$site:$PYTHONPATH"
fi

needed="keras optree namex platformdirs msgspec rich numpy pandas tabulate PIL matplotlib scipy psutil filelock h5py $KERAS_BACKEND"
if ! missing=$("$PYTHON" -c '
import importlib.util, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(", ".join(missing))
sys.exit(bool(missing))' $needed); then
    echo "error: $PYTHON has no $missing; run benchmarks/gpu_wheels.sh with their packages where" \
        "there is a network, and carry $WHEELS here." >&2
    exit 1
fi
"$PYTHON" benchmarks/gpu/check.py "$@"
