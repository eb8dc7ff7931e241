# The generative model of a MEDS dataset, without labels: bash pretrain.sh DATASET OUT DEMO
set -e
codes=""
size="--preset small --minutes 240"
if [ "$3" = "True" ]; then
  codes="--min-subjects 2"
  size="--depth 1 --context 128 --minutes 0.2"
fi
proband ehr "$1" "$2/meds"
proband tokens "$2/meds" "$2/tokens" $codes
proband train "$2/tokens" "$2/model" --no-onset $size
