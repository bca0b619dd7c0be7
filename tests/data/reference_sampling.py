"""The reference's sampling once more, slowly, in NumPy: contract section 7 sentence by sentence, with nothing of our C++ in it.

A `Run` says what is sampled; `samples(run, kind)` are all samples of a split in order, `batches(...)` those that ranks see, `index_files(...)` and
`corpus_files(...)` what the reference keeps in its cache. Failures of the reference are `Failure`s."""

import dataclasses
import hashlib
import math
import struct

import numpy as np

KINDS = ["train", "valid", "test"]


class Failure(Exception):
    """The reference ends with an error, or never."""


@dataclasses.dataclass
class File:
    weight: float
    prefix: str  # as spelled in the list, without .bin
    corpus: str
    documents: list  # of arrays of token ids


@dataclasses.dataclass
class Run:
    files: list
    seq_length: int
    split: str = "990,10,0"
    seed: int = 1234
    train_iters: int = 10
    eval_interval: int = 100
    eval_iters: int = 20
    micro_batch: int = 1
    accumulation: int = 1
    world: int = 1
    blend_in_corpus: bool = False
    shuffle_in_corpus: bool = True
    one_prefix: bool = False  # the one file is named on --data-path
    exact_epochs: int = None  # --train-data-exact-num-epochs

    @property
    def global_batch(self):
        return self.micro_batch * self.accumulation * self.world


def write_dataset(path, documents, dtype):
    """Section 7.1: <path>.bin and <path>.idx."""
    code = {np.uint8: 1, np.int8: 2, np.int16: 3, np.int32: 4, np.int64: 5, np.uint16: 8}[dtype]
    size = np.dtype(dtype).itemsize
    lengths = np.array([len(d) for d in documents], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths.astype(np.int64) * size)])[:-1].astype(np.int64)
    with open(f"{path}.bin", "wb") as out:
        for document in documents:
            out.write(np.asarray(document, dtype=dtype).tobytes())
    with open(f"{path}.idx", "wb") as out:
        out.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1))
        out.write(lengths.tobytes() + offsets.tobytes() + np.arange(len(lengths) + 1, dtype=np.int64).tobytes())


def targets(run):
    """Section 7.4."""
    batch = run.global_batch
    return {"train": run.train_iters * batch, "valid": (run.train_iters // run.eval_interval + 1) * run.eval_iters * batch, "test": run.eval_iters * batch}


def counts(run, target):
    """Samples asked of every file, in list order. One prefix alone has no surplus (7.7)."""
    if run.one_prefix:
        return [target]
    total = 0.0
    for file in run.files:
        total += file.weight
    return [int(math.ceil((target * (file.weight / total)) * 1.005)) for file in run.files]


def split_shares(run):
    """Section 7.10: a list wants three whole numbers; one prefix takes fractions, slashes and fewer numbers."""
    if not run.one_prefix:
        return [int(part) for part in run.split.split(",")]
    parts = run.split.split("," if "," in run.split else "/")
    return ([float(part) for part in parts] + [0.0, 0.0])[:3]


def split_range(run, kind, size):
    """Section 7.5: first and last + 1 sequence of a part."""
    shares = split_shares(run)
    bounds = [0]
    for share in shares:
        bounds.append(bounds[-1] + int(round(share / sum(shares) * float(size))))
    excess = bounds[-1] - size
    bounds = [0] + [bound - excess for bound in bounds[1:]]
    part = KINDS.index(kind)
    return bounds[part], bounds[part + 1]


@dataclasses.dataclass
class Index:
    epochs: int
    documents: np.ndarray  # doc_idx
    starts: np.ndarray  # sample_idx
    order: np.ndarray  # shuffle_idx


def build_index(lengths, ids, seq_length, asked, seed, exact_epochs=None):
    """Section 7.6."""
    tokens = sum(lengths[i] for i in ids)
    if len(ids) == 0 or tokens < 2:
        raise Failure("nothing in the split")
    epochs = 1
    while (epochs * tokens - 1) // seq_length < asked:
        epochs += 1
    if exact_epochs is not None:
        epochs = exact_epochs
    samples = (epochs * tokens - 1) // seq_length
    separate, before = False, samples
    if epochs > 1:
        per_epoch = (tokens - 1) // seq_length
        without_last = ((epochs - 1) * tokens - 1) // seq_length
        last = asked - without_last
        if not 0 <= last <= per_epoch + 1:
            raise Failure("the last epoch has none or more than all of its samples")
        separate = last < int(0.8 * per_epoch)
        if separate:
            before = without_last
    random = np.random.RandomState(seed=seed)

    def shuffled(values):
        random.shuffle(values)
        return values

    repeated = lambda times: np.array(list(ids) * times, dtype=np.int32)
    if separate:
        documents = np.concatenate([shuffled(repeated(epochs - 1)), shuffled(repeated(1))])
    else:
        documents = shuffled(repeated(epochs))
    stream = [(position, offset) for position, document in enumerate(documents) for offset in range(lengths[document])]
    starts = np.array([(0, 0)] + [stream[j * seq_length] for j in range(1, samples + 1)], dtype=np.int64)
    dtype = np.int64 if samples >= 2**32 - 2 else np.uint32
    order = shuffled(np.arange(0, before, dtype=dtype))
    if separate:
        order = np.concatenate([order, shuffled(np.arange(before, samples, dtype=dtype))])
    return Index(epochs, documents, starts, order)


def file_index(run, number, kind):
    file = run.files[number]
    first, last = split_range(run, kind, len(file.documents))
    return build_index([len(d) for d in file.documents], list(range(first, last)), run.seq_length, counts(run, targets(run)[kind])[number], run.seed,
                       run.exact_epochs if kind == "train" else None)


def sample_of(file, index, number, seq_length):
    """seq_length + 1 tokens."""
    j = index.order[number]
    (position, offset), (last, _) = index.starts[j], index.starts[j + 1]
    tokens = []
    while position <= last:
        tokens.extend(file.documents[index.documents[position]][offset:])
        position, offset = position + 1, 0
    return [int(token) for token in tokens[:seq_length + 1]]


def greedy(weights, size):
    """Section 7.7: the member of every place, and which of its samples."""
    taken = [0] * len(weights)
    members, numbers = [], []
    for t in range(size):
        lags = [weight * max(t, 1.0) - count for weight, count in zip(weights, taken)]
        best = lags.index(max(lags))
        members.append(best)
        numbers.append(taken[best])
        taken[best] += 1
    return members, numbers


def corpora_of(run):
    """Files of every corpus by label, labels sorted."""
    by_label = {}
    for number, file in enumerate(run.files):
        by_label.setdefault(file.corpus, []).append(number)
    return [(label, by_label[label]) for label in sorted(by_label)]


def corpus_order(run, numbers, kind):
    """Level 1: members and their sample numbers, in order."""
    asked = counts(run, targets(run)[kind])
    sizes = [asked[number] for number in numbers]
    total = sum(sizes)
    if total == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if run.blend_in_corpus:
        members, samples = greedy([size / total for size in sizes], total)
    else:
        members = [m for m, size in enumerate(sizes) for _ in range(size)]
        samples = [i for size in sizes for i in range(size)]
    members, samples = np.array(members, dtype=np.int64), np.array(samples, dtype=np.int64)
    if run.shuffle_in_corpus:
        places = np.arange(0, total)
        np.random.RandomState(seed=run.seed).shuffle(places)
        members, samples = members[places], samples[places]
    return members, samples


def places(run, kind):
    """All samples of a split in order, as (file, number of its sample)."""
    if run.one_prefix:
        yield from ((0, number) for number in range(len(file_index(run, 0, kind).order)))
        return
    corpora = corpora_of(run)
    orders = [corpus_order(run, numbers, kind) for _, numbers in corpora]
    sizes = [len(members) for members, _ in orders]
    train_total = sum(counts(run, targets(run)["train"]))
    weights = np.array([size / train_total for size in sizes], dtype=np.float64)
    weights /= np.sum(weights)
    chosen, used = greedy([float(w) for w in weights], sum(sizes))
    for corpus, place in zip(chosen, used):
        if place >= sizes[corpus]:
            raise Failure("the blend draws more of a corpus than it has")
        member, number = orders[corpus][0][place], orders[corpus][1][place]
        yield corpora[corpus][1][member], int(number)


def all_samples(run, kind):
    """Every sample of a split, as tokens."""
    if split_shares(run)[KINDS.index(kind)] == 0:
        raise Failure("the split is not built")
    indices = [file_index(run, number, kind) for number in range(len(run.files))]
    out = []
    for number, sample in places(run, kind):
        if sample >= len(indices[number].order):
            raise Failure("the file has no such sample")
        out.append(sample_of(run.files[number], indices[number], sample, run.seq_length))
    return out


def batches(run, kind, consumed, steps):
    """Section 7.9: (step, rank, samples) of `steps` steps. Failure where samples run out."""
    samples = all_samples(run, kind)
    if consumed >= len(samples):
        raise Failure("no samples left at the start")
    together = run.micro_batch * run.world
    for step in range(steps):
        of_rank = [[] for _ in range(run.world)]
        for micro in range(run.accumulation):
            start = consumed + (step * run.accumulation + micro) * together
            if start + together > len(samples):
                raise Failure("samples are used up")
            for rank in range(run.world):
                first = start + rank * run.micro_batch
                of_rank[rank] += samples[first:first + run.micro_batch]
        for rank in range(run.world):
            yield consumed // run.global_batch + step + 1, rank, of_rank[rank]


def md5(text):
    return hashlib.md5(text.encode("utf-8")).hexdigest()


def index_files(run, kind):
    """Section 7.8, per file of the list: the name, the text, and the three arrays."""
    for number, file in enumerate(run.files):
        index = file_index(run, number, kind)
        asked = counts(run, targets(run)[kind])[number]
        text = "GPT Dataset\n\n" + "".join(
            f"{name} {value}\n" for name, value in [("Data prefix", file.prefix), ("Dataset name", kind), ("Number of samples", asked),
                                                    ("Number of epochs", index.epochs), ("Sequence length", run.seq_length), ("Random seed", run.seed),
                                                    ("Split", run.split)])
        yield md5(text), text, {"_doc_idx": index.documents, "_sample_idx": index.starts, "_shuffle_idx": index.order}


def corpus_files(run, kind):
    """The same per corpus: the name and the two arrays."""
    for label, numbers in corpora_of(run):
        members, samples = corpus_order(run, numbers, kind)
        yield md5(f"{label}\n {len(members)}"), {"_index": members, "_sample_index": samples}


def expected_batches(run, kind, consumed, steps):
    """The lines as far as the reference gets, and why it stops."""
    lines = []
    try:
        for step, rank, samples in batches(run, kind, consumed, steps):
            lines.append({"split": kind, "step": step, "rank": rank, "tokens": samples})
    except Failure as failure:
        return lines, str(failure)
    return lines, None
