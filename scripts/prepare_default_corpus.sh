#!/usr/bin/env bash
# The default corpus: the King James Bible from Debian's bible-kjv, a document a chapter, as JSONL; a tokenizer of 4096
# entries trained on it; and both together as Megatron .bin/.idx. Does nothing where all of that exists.
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)
borealis=${BOREALIS:-$home/build/release/borealis}
folder=$home/data/bible-kjv
jsonl=$folder/bible.jsonl
if [ -e "$folder/bible_text_document.idx" ] && [ -e "$folder/tokenizer.json" ]; then exit 0; fi
command -v bible >/dev/null || { echo "the program 'bible' is missing: apt-get install bible-kjv bible-kjv-text" >&2; exit 3; }

mkdir -p "$folder"
# Jobs that begin together prepare it once.
exec 9>"$folder/.lock"
if command -v flock >/dev/null; then flock 9 || true; fi
if [ -e "$folder/bible_text_document.idx" ] && [ -e "$folder/tokenizer.json" ]; then exit 0; fi
echo "preparing the default corpus in $folder"
# `bible -f` prints a verse a line as "Gen1:1 In the beginning ..."; a chapter ends where its name changes.
bible -f Gen1:1-Rev22:21 </dev/null | awk '
  function flush() { if (text != "") printf "{\"source\": \"%s\", \"text\": \"%s\"}\n", chapter, text; text = "" }
  {
    space = index($0, " "); place = substr($0, 1, space - 1); verse = substr($0, space + 1)
    sub(/^ +/, "", verse); sub(/:.*/, "", place)
    if (place != chapter) { flush(); chapter = place }
    gsub(/\\/, "\\\\", verse); gsub(/"/, "\\\"", verse); gsub(/[[:cntrl:]]/, " ", verse)
    text = text (text == "" ? "" : "\\n") verse
  }
  END { flush() }' >"$jsonl.partial"
chapters=$(wc -l <"$jsonl.partial")
if [ "$chapters" -ne 1189 ]; then
  echo "expected 1189 chapters from the program 'bible' and got $chapters: see $jsonl.partial" >&2
  exit 3
fi
mv "$jsonl.partial" "$jsonl"
"$borealis" tokenizer train --input "$jsonl" --vocab-size 4096 --output "$folder" --overwrite
"$borealis" data tokenize --input "$jsonl" --tokenizer "$folder" --output-prefix "$folder/bible_text_document" --overwrite
