#!/usr/bin/env bash
# Make tests/reference/ancestry_king/king.tsv.gz: plink2's KING-robust kinship of every pair in genome_small.
# Usage: bash tests/reference/make/ancestry_king.sh    (needs plink2 on the path; made with v2.00a3.5)
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
plink2 --pfile genome_small/calls --autosome --make-king-table --out "$work/king" >"$work/log"
gzip -9 -n -c "$work/king.kin0" >ancestry_king/king.tsv.gz
rm -r "$work"
