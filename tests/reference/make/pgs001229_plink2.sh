#!/usr/bin/env bash
# Frozen scores of PGS001229 in tiny1000G by plink2, an independent program.
#
# Usage: tests/reference/make/pgs001229_plink2.sh DATA OUT
#   DATA  folder with genotypes/tiny1000G.vcf.gz and scorefiles/PGS001229_hmPOS_GRCh38.txt.gz
#   OUT   file to write: pgs001229_plink2.tsv.gz (sample_id, sum; 3,202 rows)
#
# The rows scored are chosen here by awk alone: a row is on a variant at hm_chr:hm_pos whose REF and ALT are
# its two alleles, in either order, else on the other strand; A/T and C/G variants are left out, and so are
# variants that several rows are on. Made with PLINK v2.00a3.5 (Debian plink2 2.00~a3.5): 920 variants.
set -euo pipefail
data=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

plink2 --vcf "$data/genotypes/tiny1000G.vcf.gz" --set-all-var-ids '@:#:$r:$a' --make-pgen --out "$work/tiny" \
  >"$work/log" 2>&1

zcat "$data/scorefiles/PGS001229_hmPOS_GRCh38.txt.gz" | awk -F'\t' -v OFS='\t' '
  function use(id, allele) { row[id] = id OFS allele OFS $4; hits[id]++ }
  BEGIN { c["A"] = "T"; c["T"] = "A"; c["C"] = "G"; c["G"] = "C"; print "ID", "A1", "WEIGHT" }
  FNR == NR { if ($1 !~ /^#/) known[$1 ":" $2 ":" $4 ":" $5]; next }
  /^#/ || $1 == "chr_name" || c[$2] == $3 { next }
  { site = $7 ":" $8 ":"; forward = site $2 ":" $3; backward = site $3 ":" $2
    forward_flip = site c[$2] ":" c[$3]; backward_flip = site c[$3] ":" c[$2] }
  forward in known { use(forward, $2); next }
  backward in known { use(backward, $2); next }
  forward_flip in known { use(forward_flip, c[$2]); next }
  backward_flip in known { use(backward_flip, c[$2]) }
  END { for (id in row) if (hits[id] == 1) print row[id] }
' "$work/tiny.pvar" - >"$work/weights.tsv"

plink2 --pfile "$work/tiny" --score "$work/weights.tsv" 1 2 3 header cols=scoresums --out "$work/score" >"$work/log"
grep "variants processed" "$work/log"
awk -v OFS='\t' 'NR == 1 { print "sample_id", "sum"; next } { print $1, $2 }' "$work/score.sscore" | gzip -9n >"$out"
