"""The side of llama.cpp in generation.py: reads {"file", "prompts", "tokens", "threads"} from standard input, prints seconds."""

from __future__ import annotations

import importlib
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def main() -> None:
    llama: Any = importlib.import_module("xllamacpp")  # its names come from a compiled module
    asked = json.load(sys.stdin)
    prompts, count = asked["prompts"], asked["tokens"]
    params = llama.CommonParams()
    params.model.path = asked["file"]
    params.n_parallel = len(prompts)
    params.n_ctx = len(prompts) * (max(map(len, prompts)) + count + 8)
    params.n_gpu_layers = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cpuparams.n_threads = asked["threads"]
    params.cpuparams_batch.n_threads = asked["threads"]
    params.fit_params = False
    server = llama.Server(params)  # it ends with its object
    address = server.listening_address

    def complete(prompt: list[int]) -> int:
        content = {
            "prompt": prompt,
            "n_predict": count,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": False,
            "return_tokens": True,
        }
        request = urllib.request.Request(
            f"{address}/completion", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return len(json.load(answer)["tokens"])

    complete(prompts[0])
    with ThreadPoolExecutor(len(prompts)) as pool:
        started = time.perf_counter()
        made = list(pool.map(complete, prompts))
        seconds = time.perf_counter() - started
    if made != [count] * len(prompts):
        raise SystemExit(f"wrote {made} tokens, not {count} each")
    print(seconds)


if __name__ == "__main__":
    main()
