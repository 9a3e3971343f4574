#!/usr/bin/env bash
# Everything that is measured on one GPU, in under ten minutes: the GPU tests, our kernels beside mamba-ssm's, a training
# step of the published recipe with its profile, a fit, an embedding. A part that fails ends no other; a short table comes
# last, and JSON and logs are in the output folder.
#
#   OUT=runs/gpu benchmarks/gpu.sh                                    # on a GPU
#   OUT=runs/gpu benchmarks/gpu.sh --device cpu --tiny                # tries the script itself
#
# PYTHON names the interpreter (default: .venv/bin/python if there is one, else python3). The package need not be installed.
# PEER names a folder with what mamba-ssm needs to be imported: selective_scan_cuda.so, and for its blocks its Python files
# with an empty mamba_ssm/__init__.py, and causal-conv1d for their fused path. With PEER_SOURCES, a folder of the unpacked
# source archives mamba_ssm-* and causal_conv1d-*, that folder is made here, in the background, while other parts run.
set -u
cd "$(dirname "$0")/.."
out=$(realpath -m "${OUT:-runs/gpu}")
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True  # batches of a fit differ in shape
mkdir -p "$out"
rm -f "$out"/*.json
started=$SECONDS

part() { # NAME SECONDS COMMAND...: at most so long, its output to NAME.log and the end of it to the screen
  local name=$1 limit=$2 from=$SECONDS
  shift 2
  if timeout "$limit" "$@" > "$out/$name.log" 2>&1; then state=done; else state="FAILED ($?)"; fi
  echo "== $name: $state in $((SECONDS - from)) s"
  tail -n 40 "$out/$name.log" | cut -c1-200
}

peer=${PEER:-}
if [ -z "$peer" ] && [ -n "${PEER_SOURCES:-}" ]; then
  peer=$out/peer
  timeout 420 "$python" benchmarks/gpu_peer.py "$PEER_SOURCES" "$peer" > "$out/peer.log" 2>&1 &
  building=$!
fi

case " $* " in
  *" cpu "*) ;;
  *) nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null | tee "$out/device.txt"
     part tests 240 "$python" -m pytest -m gpu $(grep -rl mark.gpu tests --include=*.py) -q --no-header -p no:cacheprovider ;;
esac
part embed 120 "$python" benchmarks/gpu_training.py embed --output "$out/embed.json" "$@"
if [ -n "${building:-}" ]; then wait "$building"; fi  # it takes the cores that the loader of a fit needs
part fit 240 "$python" benchmarks/gpu_training.py fit --output "$out/fit.json" --fit-seconds "${FIT_SECONDS:-75}" "$@"
if [ -n "$peer" ]; then export PYTHONPATH=$PYTHONPATH:$peer; fi
part scan 120 "$python" benchmarks/gpu_kernels.py scan --output "$out/scan.json" "$@"
part block 120 "$python" benchmarks/gpu_kernels.py block --output "$out/block.json" "$@"
part step 150 "$python" benchmarks/gpu_training.py step --output "$out/step.json" "$@"
echo "== summary after $((SECONDS - started)) s"
"$python" benchmarks/gpu_summary.py "$out"
