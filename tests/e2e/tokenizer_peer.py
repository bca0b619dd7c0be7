"""What the comparisons with the `tokenizers` package share: texts, and the comparison itself."""

import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import sysconfig

try:
    import tokenizers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not installed")
    sys.exit(77)

BOREALIS = os.environ["BOREALIS"]
DRIVER = pathlib.Path(BOREALIS).with_name("tests") / "tokenizer_driver"
SOURCE = pathlib.Path(os.environ["BOREALIS_SOURCE_DIR"])
SHARED = SOURCE / "../shared/tokenizers"
END = "<|endoftext|>"

MIXED = ["", "naïve café — 東京都", "مرحبا بالعالم नमस्ते दुनिया", "👍🏽 👨‍👩‍👧 é", "don't WE'LL 'ſ 'K I'D can'T 'LL'", "price: $1234567.89, 50%",
         " Hello  world", "    indented\n        more", "\x00\x01\t\r\n  x ", "a\u180eb  \u180e c\x85d", " \n\n \n x", "\r\n\r\n", " ", "   \n  \n",
         f"{END}x{END}", "<|begin_of_text|>hi<|end_of_text|><|eot_id|>", "<bos>x<eos> <s>y</s><unk>", "x" * 3000, "ab" * 20000, " " * 20000 + "x",
         "\n" * 20000, "a▁b▁▁c ▁ d", "<0x41><0xE6><0x9D>", "\u1c8a\ua7cb\U000323af\U0001e4f0 \u0c5d\U00031350 x\U00010d40", "1²½Ⅷ٣४ 123456789"]

# Article 1 of the Universal Declaration of Human Rights.
SCRIPTS = ["All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards "
           "one another in a spirit of brotherhood.",
           "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.",
           "Tous les êtres humains naissent libres et égaux en dignité et en droits.", "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm.",
           "Все люди рождаются свободными и равными в своем достоинстве и правах.", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
           "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا", "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
           "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।", "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
           "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
           "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
           "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", "ყველა ადამიანი იბადება თავისუფალი და თანასწორი", "Բոլոր մարդիկ ծնվում են ազատ ու հավասար",
           "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።", "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
           "👩‍👩‍👧‍👦🏳️‍🌈👩🏽‍🚀🇪🇺🤷🏿‍♀️ e\u0301a\u0308\u0323 Z\u0351\u036b\u0343a\u033dl\u0349g\u0333o\u0328 \u1100\u1161\u11a8 \ufb01\u2126\u212b\u00bd"]

CODE = ["int main(int argc, char** argv) {\n\tstd::vector<std::string> v{argv, argv + argc};\n\treturn v.size() > 1 ? 0 : -1;  // why\n}\n",
        "def f(x):\n    if x is None:\n        return {}\n    return {k: v**2 for k, v in x.items() if k != '__init__'}\n\n\n",
        "<html><body class=\"a\"><table><tr><td>&nbsp;</td></tr></table></body></html>", "SELECT * FROM t WHERE a='b' AND c<>0x1F;--\r\n\r\n\t\t\t",
        "".join(map(chr, range(0x20))) + "\x7f\x80\x9f\ufeff\u200b\u200d\u2028\u2029 \u00ad", "\t\t  \n \t\n\n\n\r\r\n   \u3000\u00a0 x\u00a0y\n\n"]


def random_texts(seed, count):
    """Strings from many scripts, with every kind of white space and the letters whose case folding is odd."""
    pools = [range(0x20, 0x7F), range(0xA0, 0x250), range(0x370, 0x530), range(0x600, 0x700), range(0x900, 0xA00), range(0x4E00, 0x4F00),
             range(0x1F300, 0x1F650), range(0x300, 0x36F), range(0x30, 0x3A), [0xB2, 0xBD, 0x2160, 0x665], [0x17F, 0x212A, 39, 115, 83, 116, 0x2019],
             [9, 10, 11, 12, 13, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x200A, 0x200B, 0x2028, 0x202F, 0x3000, 0xFEFF, 0, 0x1C, 0x1F, 32, 32, 32],
             [0x2581, 0x20, 0x61]]
    generator = random.Random(seed)

    def text():
        runs = (generator.choice(pools) for _ in range(generator.randrange(1, 30)))
        return "".join(chr(generator.choice(pool)) for pool in runs for _ in range(generator.randrange(1, 6)))

    return [text() for _ in range(count)]


def real_documents():
    """Text that every machine with the project's packages has: the Bible, licences, Python's library, the project."""
    if shutil.which("bible"):
        verses = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout.decode()
        yield verses
    folders = [(pathlib.Path("/usr/share/common-licenses"), "*"), (SOURCE / "src", "*.cpp"), (SOURCE / "docs", "*.md"),
               (pathlib.Path(sysconfig.get_paths()["stdlib"]), "*.py")]
    for folder, pattern in folders:
        for path in sorted(folder.glob(pattern)) if pattern == "*" else sorted(folder.rglob(pattern)):
            if path.is_file() and "site-packages" not in path.parts:
                yield path.read_text(encoding="utf-8", errors="replace")


def real_lines(count):
    lines = []
    for document in real_documents():
        lines += [line for line in document.splitlines(keepends=True) if line.strip()]
        if len(lines) >= count:
            return lines[:count]
    raise AssertionError(f"{len(lines)} lines of text on this machine, not {count}")


def without_a_space():
    """Texts of a million bytes that no word splitter cuts well."""
    generator = random.Random(11)
    letters = "".join(generator.choices("etaoinshrdlu", k=1_000_000))
    ideographs = "".join(chr(generator.randrange(0x4E00, 0x9FA5)) for _ in range(333_333))
    return [letters, ideographs, "ab" * 500_000, "".join(generator.choices("01.,-xyÄ東", k=400_000))]


def invalid_utf8():
    generator = random.Random(9)
    raw = [b"ab\xff\xe2\x82 cd \xf0\x9f\x98 x \xed\xa0\x80 \xc0\xaf\xe2", b"\x80\x80abc\xf4\x90\x80\x80"]
    return raw + [bytes(generator.choice([generator.randrange(256), *b"ab \xe2\x82\xf0\x9f\xc3\xa9"]) for _ in range(200)) for _ in range(100)]


class Driver:
    """What the driver makes of texts or ids."""

    def __init__(self, tokenizer, what, given):
        command = [DRIVER, str(tokenizer), what]
        self.data = subprocess.run(command, input=b"".join(given), check=True, stdout=subprocess.PIPE).stdout
        self.place = 0

    def take(self, unit):
        count, = struct.unpack_from("<I", self.data, self.place)
        begin, self.place = self.place + 4, self.place + 4 + count * unit
        return self.data[begin:self.place]

    def take_ids(self):
        return memoryview(self.take(4)).cast("i").tolist()

    def take_decoded(self):
        """Without and with special tokens."""
        return self.take(1).decode(), self.take(1).decode()


def random_ids(peer):
    """What a model may say: any ids, runs of the lowest, where byte tokens are, and ids beyond the vocabulary."""
    generator = random.Random(13)
    size = peer.get_vocab_size(with_added_tokens=True)
    ranges = [size + 10, size, min(600, size), min(260, size)]
    return [[generator.randrange(generator.choice(ranges)) for _ in range(generator.randrange(40))] for _ in range(300)]


def check_decoding(name, peer, tokenizer):
    lists = random_ids(peer)
    driver = Driver(tokenizer, "decode", (struct.pack(f"<I{len(ids)}i", len(ids), *ids) for ids in lists))
    for ids in lists:
        expected = tuple(peer.decode(ids, skip_special_tokens=skip) for skip in (True, False))
        decoded = driver.take_decoded()
        assert decoded == expected, f"{name}: {ids} are {decoded!r:.300} instead of {expected!r:.300}"


def compare(name, tokenizer, texts):
    """The same ids, and the same text back, with and without special tokens. Texts are str or, perhaps invalid, bytes."""
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    peer = tokenizers.Tokenizer.from_file(str(tokenizer))
    peer_ids = [encoding.ids for encoding in peer.encode_batch([text.decode(errors="replace") for text in raw])]
    plain = peer.decode_batch(peer_ids, skip_special_tokens=True)
    special = peer.decode_batch(peer_ids, skip_special_tokens=False)
    driver = Driver(tokenizer, "encode", (struct.pack("<I", len(text)) + text for text in raw))
    for text, expected, *expected_decoded in zip(raw, peer_ids, plain, special, strict=True):
        ids, decoded = driver.take_ids(), list(driver.take_decoded())
        if ids != expected:
            at = next((i for i, pair in enumerate(zip(ids, expected)) if pair[0] != pair[1]), min(len(ids), len(expected)))
            raise AssertionError(f"{name}: ids differ for {text[:80]!r} at {at}: {ids[at:at + 8]} instead of {expected[at:at + 8]}")
        assert decoded == expected_decoded, f"{name}: {text[:80]!r} comes back as {decoded!r:.200} instead of {expected_decoded!r:.200}"
    check_decoding(name, peer, tokenizer)
    print(f"{name}: {len(texts)} texts, the same ids and the same text back", flush=True)
