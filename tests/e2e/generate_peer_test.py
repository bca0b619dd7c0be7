"""`borealis generate` against transformers: random models in fp32, greedy, 50 tokens, id by id; alone and in a batch of prompts of
different lengths; stop strings, end tokens and the repetition penalty; texts against the tokenizer's own; and the memory that was planned.

Ties are no issue: the smallest gap between the two likeliest tokens that transformers itself sees on the way is asserted to be far above what
fp32 sums in another order differ by. Skipped where torch, transformers or tokenizers is not installed."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import tokenizers
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: the Python package '{missing.name}' is not installed")
    sys.exit(77)

BOREALIS = os.environ["BOREALIS"]
NEW_TOKENS = 50
# Of the largest logit. Sums in another order move fp32 logits by 3e-6 of it at most (tests/model/cached_decoder_test.cpp).
SMALLEST_GAP = 2e-5
WORDS = "the cat sat on a mat and saw that no dog was near it, so she slept: naïve, happy – and warm. 東京 🙂".split()

SHAPE = {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 4, "num_attention_heads": 8,
         "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}


def models():
    yield "Llama, grouped queries", transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE))
    yield "Llama, rope_scaling llama3", transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE, rope_parameters=LLAMA3_ROPE))
    yield "Llama, head_dim of its own", transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE, head_dim=24))
    yield "SmolLM3, layers without RoPE, tied head", transformers.SmolLM3ForCausalLM(
        transformers.SmolLM3Config(**SHAPE, no_rope_layer_interval=4, tie_word_embeddings=True))


def spread(model, seed):
    """Random weights whose logits differ: transformers' own start gives nearly equal ones."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(1 + 0.2 * torch.randn_like(weight) if weight.dim() == 1 else 0.15 * torch.randn_like(weight))
    return model.float().eval()


def make_tokenizer(folder):
    generator = random.Random(4)
    text = [" ".join(generator.choice(WORDS) for _ in range(30)) for _ in range(60)]
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(text, vocab_size=SHAPE["vocab_size"], special_tokens=["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


def borealis(*arguments, folder, prompts=None):
    command = [BOREALIS, "generate", "--dtype", "fp32", *[str(a) for a in arguments]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"PATH": os.environ["PATH"]}, input=prompts)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def greedy(model, ids, **settings):
    """transformers' tokens, and the smallest distance of the likeliest token's logit from the next one's on the way, as a share of it."""
    with torch.no_grad():
        output = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=NEW_TOKENS, output_scores=True,
                                return_dict_in_generate=True, **settings)
    scores = torch.stack(output.scores)[:, 0]
    best = scores.topk(2).values
    return output.sequences[0, len(ids):].tolist(), ((best[:, 0] - best[:, 1]) / scores.abs().amax(-1)).min().item()


def check_greedy(name, model, tokenizer, prompts, folder, *arguments, **settings):
    expected, gaps = zip(*(greedy(model, tokenizer(p, add_special_tokens=False)["input_ids"], **settings) for p in prompts))
    assert min(gaps) > SMALLEST_GAP, f"{name}: two tokens are within {min(gaps)}: choose another seed"
    assert len(set(map(tuple, expected))) == len(prompts), f"{name}: the texts do not depend on their prompts"
    for batch in (1, len(prompts) - 1):
        report = json.loads(borealis("--model", ".", "--prompts", "prompts.jsonl", "--batch-size", batch, "--greedy", "--max-new-tokens",
                                     NEW_TOKENS, "--json", *arguments, folder=folder))
        for prompt, text, ids in zip(prompts, report["texts"], expected):
            assert text["tokens"] == ids, f"{name}, {batch} at a time, {prompt!r}:\n{text['tokens']}\n{ids}"
            assert text["prompt_tokens"] == tokenizer(prompt, add_special_tokens=False)["input_ids"], text
            assert (text["prompt"], text["finish_reason"]) == (prompt, "length"), text
            assert text["text"] == tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False), (text, ids)
        assert report["tokens"] == NEW_TOKENS * len(prompts), report
        # Models of less than a megabyte: what libraries take is most of it and differs by a few MB between machines.
        assert abs(report["peak_memory_bytes"] - report["planned_memory_bytes"]) < 0.05 * report["planned_memory_bytes"] + 8e6, report
    print(f"{name}: {len(prompts)} x {NEW_TOKENS} tokens are transformers', smallest gap {min(gaps):.3g}; peak "
          f"{report['peak_memory_bytes'] / 1e6:.1f} MB of {report['planned_memory_bytes'] / 1e6:.1f} planned")


def check_ends(model, tokenizer, prompt, folder):
    """A token of the greedy text as end token; a string across its tokens as stop string."""
    ids, _ = greedy(model, tokenizer(prompt, add_special_tokens=False)["input_ids"])
    end = ids[20]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
    text = json.loads(borealis("--model", ".", "--prompt", prompt, "--greedy", "--json", folder=folder))["texts"][0]
    assert (text["tokens"], text["finish_reason"]) == (ids[:ids.index(end)], "eos"), text
    theirs, _ = greedy(model, tokenizer(prompt, add_special_tokens=False)["input_ids"], eos_token_id=end)
    assert theirs == [*text["tokens"], end], theirs
    ignored = json.loads(borealis("--model", ".", "--prompt", prompt, "--greedy", "--max-new-tokens", NEW_TOKENS, "--ignore-eos", "--json",
                                  folder=folder))["texts"][0]
    assert ignored["tokens"] == ids, ignored
    whole = ignored["text"]
    stop = whole[len(whole) // 2 - 2:len(whole) // 2 + 3]
    cut = whole[:whole.index(stop)]
    arguments = ["--model", ".", "--prompt", prompt, "--greedy", "--ignore-eos", "--stop", "no such text", "--stop", stop]
    stopped = json.loads(borealis(*arguments, "--json", folder=folder))["texts"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (cut, "stop"), (stopped, cut, stop)
    assert borealis(*arguments, folder=folder) == f"{prompt}{cut}\n", "streamed"
    print("ends: an end token, a stop string, both ignored: as transformers' text cut there")


def check_prompt_files(folder, prompts):
    """The same texts whatever the prompts come by; sampled ones do not depend on their batch."""
    arguments = ["--model", ".", "--seed", 5, "--max-new-tokens", 20, "--temperature", 1, "--top-k", 0, "--top-p", 0.95, "--min-p", 0.01]

    def texts(*more, **run):
        return [t["text"] for t in json.loads(borealis(*arguments, *more, "--json", folder=folder, **run))["texts"]]

    (folder / "prompts.txt").write_text("".join(p + "\n" for p in prompts))
    expected = texts("--prompts", "prompts.jsonl")
    assert len(set(expected)) == len(prompts)
    for batch in (1, 2, 5):
        assert texts("--prompts", "prompts.txt", "--batch-size", batch) == expected, batch
    assert texts("--prompts", "-", prompts="\r\n".join(prompts)) == expected
    shown = borealis(*arguments, "--prompts", "prompts.txt", folder=folder)
    assert shown == "".join(f"[{i}/{len(prompts)}] {p}{t}\n" for i, (p, t) in enumerate(zip(prompts, expected), 1)), shown
    assert texts("--prompt", prompts[0]) == expected[:1] and texts("--prompt", prompts[1]) != expected[1:2]
    print("prompts: lines, JSON lines and standard input give the same texts, in batches of any size")


def check_long_prompts(folder):
    """Prompts that pass through the layers in pieces, beside a short one; and a prompt that the model's positions cannot hold."""
    config = transformers.LlamaConfig(**SHAPE | {"max_position_embeddings": 2048}, rope_parameters={"rope_type": "default", "rope_theta": 1e5})
    model = spread(transformers.LlamaForCausalLM(config), 7)
    model.save_pretrained(folder)
    tokenizer = make_tokenizer(folder)
    generator = random.Random(5)
    prompts = [" ".join(generator.choice(WORDS) for _ in range(count)) for count in (1500, 6, 660, 1000)]
    lengths = [len(tokenizer(p)["input_ids"]) for p in prompts]
    assert max(lengths) > 1200 and max(lengths) < 1900, lengths
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
    check_greedy(f"prompts of {lengths} tokens", model, tokenizer, prompts, folder)
    too_long = subprocess.run([BOREALIS, "generate", "--model", folder, "--prompt", " ".join(prompts)], capture_output=True, text=True)
    assert too_long.returncode == 4 and "2048 positions" in too_long.stderr, too_long.stderr


def check_shown_text(folder):
    """What is shown is what the tokenizer makes of the prompt's ids and the new ones in one list."""
    spread(transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)), 3).save_pretrained(folder)
    text = ["And God said, Let there be light: and there was light. naïve 東京"] * 30
    prompts = ["And God said", "light ", " two  spaces", "unknown 🙂", "x"]
    (folder / "prompts.txt").write_text("".join(p + "\n" for p in prompts))
    for name, peer in shown_tokenizers(text).items():
        peer.save(str(folder / "tokenizer.json"))
        arguments = ["--model", ".", "--greedy", "--max-new-tokens", 12, "--prompts", "prompts.txt"]
        texts = json.loads(borealis(*arguments, "--json", folder=folder))["texts"]
        expected = [peer.decode(t["prompt_tokens"] + t["tokens"]) for t in texts]
        assert expected != [t["prompt"] + peer.decode(t["tokens"]) for t in texts], f"{name}: no test of anything"
        lines = "".join(f"[{i}/{len(prompts)}] {t}\n" for i, t in enumerate(expected, 1))
        shown = borealis(*arguments, folder=folder)
        assert shown == lines, f"{name}:\n{shown}\n{lines}"
        for prompt, text_of_all in zip(prompts, expected):
            alone = borealis(*arguments[:-2], "--prompt", prompt, folder=folder)
            assert alone == text_of_all + "\n", f"{name}: {alone!r} instead of {text_of_all!r}"
    numbers = borealis("--model", ".", "--greedy", "--max-new-tokens", 3, "--prompt", "1 2  3", "--tokenizer-type", "NullTokenizer",
                       "--vocab-size", 319, folder=folder)
    assert numbers.startswith("1 2 3 ") and len(numbers.split()) == 6, numbers
    print("shown texts: those of all ids together, of Metaspace, byte fallback, no decoder, a normalizer, and numbers")


def shown_tokenizers(text):
    def trained(decoder, pre_tokenizer=None, normalizer=None, **model):
        peer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", **model))
        if pre_tokenizer:
            peer.pre_tokenizer = pre_tokenizer
        if normalizer:
            peer.normalizer = normalizer
        if decoder:
            peer.decoder = decoder
        special = ["<unk>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if model.get("byte_fallback") else [])
        peer.train_from_iterator(text, tokenizers.trainers.BpeTrainer(vocab_size=320, special_tokens=special, show_progress=False))
        file = json.loads(peer.to_str())
        file["added_tokens"] = file["added_tokens"][:1]  # byte tokens are pieces as others
        return tokenizers.Tokenizer.from_str(json.dumps(file))

    decoders, pre_tokenizers, normalizers = tokenizers.decoders, tokenizers.pre_tokenizers, tokenizers.normalizers
    llama = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return {"Metaspace": trained(decoders.Metaspace(), pre_tokenizers.Metaspace()),
            "byte fallback": trained(llama, normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
                                     byte_fallback=True),
            "no decoder": trained(None, pre_tokenizers.Metaspace()),
            "NFKD": trained(decoders.Metaspace(), pre_tokenizers.Metaspace(), normalizers.NFKD())}


def main():
    transformers.logging.set_verbosity_error()
    prompts = ["the cat sat", "so", "naïve, happy – and warm. " * 6, "that no dog was near it, so she slept: 東京 🙂 and", "a mat"]
    for seed, (name, model) in enumerate(models()):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            spread(model, seed).save_pretrained(folder)
            tokenizer = make_tokenizer(folder)
            (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
            check_greedy(name, model, tokenizer, prompts, folder)
            if seed == 0:
                check_greedy("repetition penalty", model, tokenizer, prompts, folder, "--repetition-penalty", 1.3, repetition_penalty=1.3)
                check_prompt_files(folder, prompts)
                check_ends(model, tokenizer, prompts[3], folder)
    for check in (check_long_prompts, check_shown_text):
        with tempfile.TemporaryDirectory() as temporary:
            check(pathlib.Path(temporary))


if __name__ == "__main__":
    main()
