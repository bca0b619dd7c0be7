#!/usr/bin/env bash
# The default corpus by the tokenizer that TOKENIZER_MODEL (and TOKENIZER_TYPE) name, if that is on this machine and not
# the corpus' own. Prints the name of a data list for it; nothing where the corpus is to be used as it is. What is there
# already is used again, if it still is what that tokenizer made.
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)
borealis=${BOREALIS:-$home/build/release/borealis}
folder=$home/data/bible-kjv
tokenizer=(--tokenizer "$TOKENIZER_MODEL" --tokenizer-type "${TOKENIZER_TYPE:-HFTokenizer}")
name=$(printf %s "$TOKENIZER_MODEL" | tr -c '[:alnum:]._-' _)
prefix=$folder/by-$name/bible_text_document

is_of_tokenizer() { "$borealis" data verify "${tokenizer[@]}" "$1" >/dev/null 2>&1; }

if [ ! -e "$prefix.idx" ] && is_of_tokenizer "$folder/bible_text_document"; then exit 0; fi
if ! is_of_tokenizer "$prefix"; then
  code=0
  "$borealis" data tokenize --input "$folder/bible.jsonl" "${tokenizer[@]}" --output-prefix "$prefix" --overwrite >&2 || code=$?
  if [ $code -ne 0 ]; then
    echo "the default corpus is used as its own tokenizer made it" >&2
    exit 0
  fi
fi
printf '1.0 bible_text_document books\n' >"$folder/by-$name/books.txt"
echo "$folder/by-$name/books.txt"
