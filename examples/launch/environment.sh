#!/usr/bin/env bash
# Train on several machines that are told of each other by environment variables, as Kubernetes' PyTorchJob
# and similar operators do it. The command of each container:
#
#   bash environment.sh TOKENS MODEL [options of proband train]
#
# PET_NNODES, PET_NODE_RANK, PET_NPROC_PER_NODE, PET_MASTER_ADDR, PET_MASTER_PORT and others of the kind are
# torchrun's own (each option has one) and are left to it; where an operator sets only MASTER_ADDR,
# MASTER_PORT, WORLD_SIZE (here: machines) and RANK, they are taken for them. TOKENS and MODEL lie on a volume
# that all see (ReadWriteMany).
set -euo pipefail

export PET_NNODES="${PET_NNODES:-${WORLD_SIZE:?number of machines}}"
export PET_NODE_RANK="${PET_NODE_RANK:-${RANK:?number of this machine, from 0}}"
export PET_MASTER_ADDR="${PET_MASTER_ADDR:-${MASTER_ADDR:?name of machine 0}}"
export PET_MASTER_PORT="${PET_MASTER_PORT:-${MASTER_PORT:-29500}}"
device="${DEVICE:-cuda}"
if [ "$device" = cuda ]; then gpus="$(nvidia-smi --list-gpus | wc -l)"; else gpus=1; fi
export PET_NPROC_PER_NODE="${PET_NPROC_PER_NODE:-${PROCESSES:-$gpus}}"
export PET_MAX_RESTARTS="${PET_MAX_RESTARTS:-${RESTARTS:-3}}"
unset WORLD_SIZE RANK MASTER_ADDR MASTER_PORT # torchrun sets these anew for each process

exec "${PYTHON:-python}" -m torch.distributed.run -m proband train "$@" --device "$device"
