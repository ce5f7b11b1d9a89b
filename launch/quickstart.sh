#!/usr/bin/env bash
# Install, train on views of the Earth, generate, and measure equivariance.
# Run again to resume, or to finish at once; results are in runs/earth and out/.
source "$(dirname "$0")/setup.sh"

trap 'exit 130' INT # training saves and ends well; what follows it must not begin

# Compiled programs are kept, so that a rerun starts sooner.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$PWD/runs/xla}

run=runs/earth
python -m afgan_jax train --config=earth32 --workdir=$run
if [ ! out/equivariance.json -nt $run/stats.jsonl ]; then
  python -m afgan_jax generate --run=$run --seeds=0-47 --psi=1 --outdir=out
  python -m afgan_jax analyze progress --run=$run --outdir=out
  python -m afgan_jax analyze equivariance --run=$run --samples=200 --outdir=out
fi

echo "look at out/grid.png, out/progress.png, out/equivariance.png and out/motion.gif;"
echo "the training set is in $run/reals.png"
