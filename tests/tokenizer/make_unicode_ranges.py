#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_ranges.inc: the letters (\\p{L}) and numbers (\\p{N}) of Unicode as the regular expressions
of the `tokenizers` package know them, which is what words are cut by. That package's Unicode is newer than PCRE2's.

    make_unicode_ranges.py           write the file
    make_unicode_ranges.py --check   exit 1 if it would change"""

import pathlib
import sys

from tokenizers import Regex, pre_tokenizers

TARGET = pathlib.Path(__file__).resolve().parents[2] / "src/tokenizer/unicode_ranges.inc"
BLOCK = 4096


def code_points_of(expression):
    matches = pre_tokenizers.Split(Regex(expression), "removed", invert=True)
    every = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    found = set()
    for begin in range(0, len(every), BLOCK):
        for word, _ in matches.pre_tokenize_str("".join(map(chr, every[begin:begin + BLOCK]))):
            found.update(map(ord, word))
    return sorted(found)


def ranges(points):
    result = []
    for point in points:
        if result and result[-1][1] == point - 1:
            result[-1][1] = point
        else:
            result.append([point, point])
    return result


def table(name, expression):
    entries = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(code_points_of(expression))]
    rows = [", ".join(entries[begin:begin + 6]) + "," for begin in range(0, len(entries), 6)]
    return f"constexpr CodePointRange {name}[] = {{\n" + "".join(f"    {row}\n" for row in rows) + "};\n"


def main():
    text = ("// Written by tests/tokenizer/make_unicode_ranges.py. First and last code point of each range.\n" +
            table("kLetters", r"\p{L}") + table("kNumbers", r"\p{N}"))
    if sys.argv[1:] == ["--check"]:
        sys.exit(TARGET.read_text() != text)
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
