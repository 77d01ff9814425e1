"""How fast texts become vectors: `python benchmarks/encoding.py [--write] [--texts 2000]`.

One model, all-MiniLM-L6-v2, on this machine's processor, by several ways in one run. The ways take turns, a round each.
"""

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from common import circumstances, data_folder, read_rows, table, write_section

import coldstart as cs
from coldstart.encoders.transformer.weights import find_weights

Encode = Callable[[list[str]], np.ndarray]
ROUNDS = 3
BATCH = 32
EXACT = "sentence-transformers float32"
OURS = 'coldstart dtype="auto"'


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--write", action="store_true")
    asked.add_argument("--texts", type=int, default=2000)
    args = asked.parse_args()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    text = section(args.texts)
    print(text)
    if args.write:
        write_section("encoding", text)


def section(count: int) -> str:
    """Return everything that is measured, as Markdown."""
    kinds = {
        "overviews of films": read_texts("ml-latest-small", "text", count),
        "titles of papers": read_texts("citeulike-a", "title", count),
    }
    with tempfile.TemporaryDirectory() as folder:
        ways = encoders(Path(folder))
        parts = [f"### {len(texts):,} {name}\n\n{compared(ways, texts)}" for name, texts in kinds.items()]
    return "\n\n".join(
        [
            "## Encoding",
            circumstances(["ml-latest-small", "citeulike-a"]),
            f"all-MiniLM-L6-v2 on a CPU with {torch.get_num_threads()} threads; the methods take turns, and times are medians "
            f"of {ROUNDS} rounds. sentence-transformers and onnxruntime (int8, weights quantized by `quantize_dynamic`) run "
            f"with their defaults, in batches of {BATCH} texts of similar length. Cosines are to the float32 vectors of "
            "sentence-transformers.",
            *parts,
            first_answer(),
        ]
    )


def compared(ways: dict[str, Encode], texts: list[str]) -> str:
    """Return the table of one kind of texts, and how much of the processor is used."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors = {name: encode(texts[:64]) for name, encode in ways.items()}
    rate = []
    for _ in range(ROUNDS):
        rate.append(bfloat16_rate())
        for name, encode in ways.items():
            started = time.perf_counter()
            vectors[name] = encode(texts)
            seconds[name].append(time.perf_counter() - started)
    speed = {name: len(texts) / statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name, found in vectors.items():
        cosines = (unit(found) * unit(vectors[EXACT])).sum(axis=1)
        ratio = f"{speed[name] / speed[EXACT]:.2f}"
        rows.append([name, f"{speed[name]:,.0f}", ratio, f"{cosines.min():.5f}", f"{cosines.mean():.5f}"])
    head = ["method", "texts a second", "ratio", "smallest cosine", "mean cosine"]
    return f"{table(head, rows)}\n\n{share_of_rate(texts, speed, statistics.median(rate))}"


def share_of_rate(texts: list[str], speed: dict[str, float], rate: float) -> str:
    """Say how near the fastest comes to what its matrix products alone would take."""
    model = cs.TextEncoder(dtype="float32", progress=False)._loaded()
    tokens = np.mean([len(line) for line in model.tokenize(texts)])
    layers = model.network.layers.parameters()
    flop = 2 * sum(weight.numel() for weight in layers if weight.dim() == 2) * tokens
    done = speed[OURS] * flop / 1e9
    return (
        f"{tokens:.1f} tokens per text. PyTorch multiplies bfloat16 matrices of these shapes at {rate:,.0f} GFLOP/s; "
        f'`dtype="auto"` reaches {done:,.0f}, {done / rate:.0%} of that, counting linear layers only.'
    )


def bfloat16_rate(rows: int = 2048) -> float:
    """Measure matrix products of the shapes of the model, weighted as a layer has them, in GFLOP/s."""
    shapes = [(384, 384)] * 4 + [(384, 1536), (1536, 384)]
    maps = [torch.nn.Linear(*shape).bfloat16() for shape in shapes]
    inputs = [torch.randn(rows, shape[0]).bfloat16() for shape in shapes]
    times = []
    with torch.inference_mode():
        for _ in range(15):
            started = time.perf_counter()
            for linear, values in zip(maps, inputs, strict=True):
                linear(values)
            times.append(time.perf_counter() - started)
    return 2 * rows * sum(a * b for a, b in shapes) / statistics.median(times) / 1e9


def encoders(folder: Path) -> dict[str, Encode]:
    """Return the ways to encode, the model loaded."""
    model = str(find_weights(None))
    ways = {
        EXACT: sentence_transformer(model, "float32"),
        "sentence-transformers bfloat16": sentence_transformer(model, "bfloat16"),
    }
    try:
        ways["onnxruntime int8"] = onnx_int8(model, folder)
    except Exception as error:
        print(f"onnxruntime is left out: {type(error).__name__}: {error}", file=sys.stderr)
    ways["coldstart float32"] = cs.TextEncoder(dtype="float32", progress=False).encode
    ways[OURS] = cs.TextEncoder(progress=False).encode
    return ways


def sentence_transformer(model: str, dtype: str) -> Encode:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
    return lambda texts: loaded.encode(texts, batch_size=BATCH, convert_to_tensor=True).float().numpy()


def onnx_int8(model: str, folder: Path) -> Encode:
    """Export the network, quantize it and return what encodes with it."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel, AutoTokenizer

    logging.getLogger().setLevel(logging.ERROR)
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()
    told = tokenizer(["a film", "a longer film about bees"], padding=True, return_tensors="pt")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        Tokens(network),
        tuple(told[name] for name in names),
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["hidden"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*names, "hidden"]},
        dynamo=False,
    )
    quantize_dynamic(folder / "model.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"])

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        out = np.zeros((len(texts), network.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            tokens = tokenizer(
                [texts[row] for row in rows], padding=True, truncation=True, max_length=256, return_tensors="np"
            )
            mask = tokens["attention_mask"][:, :, None]
            (hidden,) = session.run(None, {name: tokens[name] for name in names})
            out[rows] = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
        return out

    encode(["a film", "a longer film about bees"])
    return encode


class Tokens(torch.nn.Module):
    """A network that gives the vectors of its tokens and nothing else."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Return (texts, tokens, dim)."""
        return self.network(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


def first_answer() -> str:
    """Say how long a new process takes to load a recommender and to answer its first query; medians of three."""
    code = (
        "import sys, time; import coldstart as cs; started = time.perf_counter(); rec = cs.load(sys.argv[1]); "
        "loaded = time.perf_counter(); rec.recommend(query='an astronaut alone', k=5); "
        "print(loaded - started, time.perf_counter() - loaded)"
    )
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved"
        cs.Recommender(cs.TextEncoder(progress=False)).fit(cs.datasets.films()).save(saved)
        runs = [
            subprocess.run([sys.executable, "-c", code, str(saved)], check=True, capture_output=True) for _ in range(3)
        ]
    load, answer = np.median([[float(part) for part in run.stdout.split()] for run in runs], axis=0)
    return (
        f"In a new process the first `load` takes {load:.1f} s and the first `recommend(query=...)` after it {answer:.1f} s, "
        "imports included."
    )


def read_texts(name: str, column: str, count: int) -> list[str]:
    texts = [row[column] for row in read_rows(data_folder() / name / "items.tsv.gz")]
    return [text for text in texts if text][:count]


def unit(vectors: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    rows = np.asarray(vectors, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
