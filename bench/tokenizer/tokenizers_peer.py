"""TOKENIZER TEXTS ROUNDS: what encode_texts.cpp does, with the `tokenizers` package: encode_batch_fast (no offsets), as many
threads as RAYON_NUM_THREADS says. Prints the same JSON line."""

import json
import pathlib
import struct
import sys
import time

from tokenizers import Tokenizer, __version__


def read_texts(path):
    data, place, texts = pathlib.Path(path).read_bytes(), 0, []
    while place < len(data):
        size, = struct.unpack_from("<I", data, place)
        texts.append(data[place + 4:place + 4 + size].decode())
        place += 4 + size
    return texts


def main():
    tokenizer_path, texts_path, rounds = sys.argv[1:]
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(tokenizer_path)
    load_s = time.perf_counter() - start
    texts = read_texts(texts_path)
    round_s, encodings = [], []
    for _ in range(int(rounds)):
        encodings = []
        start = time.perf_counter()
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        round_s.append(time.perf_counter() - start)
    tokens = checksum = 0
    for encoding in encodings:
        ids = encoding.ids
        tokens += len(ids)
        for number in ids:
            checksum = checksum * 31 + number & 0xFFFFFFFFFFFF
    print(json.dumps({"load_s": load_s, "round_s": round_s, "tokens": tokens, "checksum": checksum, "version": __version__}))


main()
