#!/usr/bin/env bash
# Train on one machine with several GPUs, or with several processes of its cores.
#
#   bash one_node.sh TOKENS MODEL [options of proband train]
#   PROCESSES=2 DEVICE=cpu bash one_node.sh tokens model --epochs 1
#
# PROCESSES: default one per GPU. RESTARTS: how often torchrun starts all processes again when one is lost;
# they go on from the last saved state (--save-seconds). The same command given again goes on as well.
set -euo pipefail

device="${DEVICE:-cuda}"
if [ "$device" = cuda ]; then gpus="$(nvidia-smi --list-gpus | wc -l)"; else gpus=1; fi
processes="${PROCESSES:-$gpus}"
python="${PYTHON:-python}"
# Processes of one machine share its cores.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((($(nproc) + processes - 1) / processes))}"

exec "$python" -m torch.distributed.run --standalone \
  --nproc-per-node="$processes" --max-restarts="${RESTARTS:-3}" \
  -m proband train "$@" --device "$device"
