#!/usr/bin/env python3
"""Writes what the tokenizers know of Unicode, src/tokenizer/*.inc, from the `tokenizers` package itself, which is what their ids are held
against. It has several Unicodes: the general categories and scripts are those of its regular expressions (Oniguruma; 16.0 in 0.23), word
characters those of Rust's, normal forms those of another, older crate.

    make_unicode_ranges.py           write the files
    make_unicode_ranges.py --check   exit 1 if one would change

Needs a Python whose unicodedata is of Unicode 14, as PCRE2 10.42 of Debian 12: what has changed since is written out."""

import pathlib
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "src/tokenizer"
HEAD = "// Written by tests/tokenizer/make_unicode_ranges.py.{}\n"
BLOCK = 4096
EVERY = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)
CATEGORIES = "Cc Cf Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
# Those that PCRE2 10.42 knows and that have grown since.
SCRIPTS = ("Arabic Balinese Common Cyrillic Devanagari Egyptian_Hieroglyphs Ethiopic Grantha Greek Gujarati Gurmukhi Han Hangul Hebrew Hiragana Inherited "
           "Kaithi Kannada Katakana Khitan_Small_Script Khojki Lao Latin Malayalam Mongolian Myanmar Nko Oriya Sharada Sinhala Tamil Telugu Thai "
           "Tibetan").split()


def code_points_of(expression):
    matches = pre_tokenizers.Split(Regex(expression), "removed", invert=True)
    found = set()
    for begin in range(0, len(EVERY), BLOCK):
        for word, _ in matches.pre_tokenize_str("".join(map(chr, EVERY[begin:begin + BLOCK]))):
            found.update(map(ord, word))
    return sorted(found)


def ranges(points, same=lambda a, b: True):
    """First and last of runs of code points that are `same`."""
    result = []
    for point in points:
        if result and result[-1][1] == point - 1 and same(point - 1, point):
            result[-1][1] = point
        else:
            result.append([point, point])
    return result


def array(declaration, entries):
    rows, row = [], "   "
    for entry in entries:
        if len(row) + len(entry) + 2 > 100:
            rows.append(row)
            row = "   "
        row += f" {entry},"
    return f"constexpr {declaration}[] = {{\n" + "\n".join([*rows, row]) + "\n};\n"


def range_table(name, points):
    return array(f"CodePointRange {name}", (f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges(points)))


def word_characters():
    """\\w of Rust: a token that stands alone is not found beside them."""
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    tokenizer.add_tokens([AddedToken("<t>", single_word=True)])
    found = []
    for begin in range(0, len(EVERY), 1 << 16):
        points = EVERY[begin:begin + (1 << 16)]
        encoded = tokenizer.encode_batch(["<t>" + chr(point) for point in points])
        found += [point for point, one in zip(points, encoded) if 1 not in one.ids]
    return found


def character_classes():
    letters, numbers = code_points_of(r"\p{L}"), code_points_of(r"\p{N}")
    return (HEAD.format(" First and last code point of each range.") + range_table("kLetters", letters) + range_table("kNumbers", numbers) +
            range_table("kWordCharacters", word_characters()))


def properties():
    category = {point: name for name in CATEGORIES for point in code_points_of(rf"\p{{{name}}}")}
    now = lambda point: category.get(point, "Cn")
    before = lambda point: unicodedata.category(chr(point))
    runs = ranges(EVERY, lambda a, b: now(a) == now(b))
    changed = ranges([p for p in EVERY if now(p) != before(p)], lambda a, b: before(a) == before(b))
    scripts = []
    for script in SCRIPTS:
        added = [p for p in code_points_of(rf"\p{{{script}}}") if before(p) == "Cn"]
        scripts += [f'{{"{script}", 0x{first:X}, 0x{last:X}}}' for first, last in ranges(added)]
    return (HEAD.format(" General categories by first and last code point, what Unicode 14 had in place of those\n// that differ, and what "
                        "scripts have gained since.") +
            array("CategoryRange kCategories", (f"{{0x{first:X}, 0x{last:X}, C::k{now(first)}}}" for first, last in runs)) +
            array("CategoryRange kCategoriesOfUnicode14", (f"{{0x{first:X}, 0x{last:X}, C::k{before(first)}}}" for first, last in changed)) +
            array("ScriptRange kNewInScripts", scripts))


def combining_classes(nfd):
    """Of the code points that are reordered, Unicode's number; that it orders them as the package does is checked."""
    reordered = [p for p in EVERY if nfd("\u0345" + chr(p)) == chr(p) + "\u0345" or nfd(chr(p) + "\u0334") == "\u0334" + chr(p)]
    number = {p: unicodedata.combining(chr(p)) for p in reordered}
    one_of = {number[p]: p for p in reversed(reordered)}
    for p in reordered:
        for other, q in one_of.items():
            swapped = nfd("a" + chr(p) + chr(q)) == "a" + chr(q) + chr(p)
            assert p == q or swapped == (other < number[p]), (hex(p), hex(q))
    return number


def normal_forms():
    form = {name: getattr(normalizers, name)().normalize_str for name in ("NFC", "NFD", "NFKD")}
    letters = [p for p in EVERY if p not in HANGUL]
    canonical = {p: form["NFD"](chr(p)) for p in letters if form["NFD"](chr(p)) != chr(p)}
    compatible = {p: form["NFKD"](chr(p)) for p in letters if form["NFKD"](chr(p)) not in (chr(p), canonical.get(p))}
    pairs = []
    for p, parts in canonical.items():
        if len(parts) > 1 and form["NFC"](parts) == chr(p):
            first = form["NFC"](parts[:-1])
            assert len(first) == 1 and form["NFC"](first + parts[-1]) == chr(p), hex(p)
            pairs.append((ord(first), ord(parts[-1]), p))
    classes = combining_classes(form["NFD"])
    flat = lambda mapping: (f"0x{n:X}" for p, parts in mapping.items() for n in (p, len(parts), *map(ord, parts)))
    runs = ranges(sorted(classes), lambda a, b: classes[a] == classes[b])
    return (HEAD.format(" Decompositions, each a code point, a count and so many code points, in canonical order;\n// in kCompatible where that "
                        "differs from kCanonical. Hangul syllables are arithmetic.") +
            array("uint32_t kCanonical", flat(canonical)) + array("uint32_t kCompatible", flat(compatible)) +
            array("Composition kCompositions", (f"{{0x{a:X}, 0x{b:X}, 0x{p:X}}}" for a, b, p in sorted(pairs))) +
            array("CombiningClass kCombiningClasses", (f"{{0x{a:X}, 0x{b:X}, {classes[a]}}}" for a, b in runs)))


def main():
    if unicodedata.unidata_version != "14.0.0":
        print(f"skipped: Python's unicodedata is of Unicode {unicodedata.unidata_version}, not 14")
        sys.exit(77)
    texts = {"unicode_ranges.inc": character_classes(), "unicode_properties.inc": properties(), "normal_forms.inc": normal_forms()}
    if sys.argv[1:] == ["--check"]:
        sys.exit(any(not (FOLDER / name).exists() or (FOLDER / name).read_text() != text for name, text in texts.items()))
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
