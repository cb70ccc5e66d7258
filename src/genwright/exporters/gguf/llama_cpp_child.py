"""A process of its own in which llama.cpp reads a GGUF file, since it ends the process on what it does not like.

    python -m genwright.exporters.gguf.llama_cpp_child REQUEST ANSWER

The request: {"file", "context", "threads", "prompts": lists of token ids, "tokens": how many to go on with, "forced": for each
prompt, lists of token ids to tell the next token's log-probabilities after, "top": of how many tokens, "texts", "conversations":
lists of messages}.
The answer: {"answers": token ids after each prompt, "forced": {"token", "top": {token id: log-probability}} for each list, "encoded": token ids of
each text, "conversations": {"text", "tokens"} of each}.
"""

from __future__ import annotations

import importlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any


def main() -> None:
    # Its names come from a compiled module, in which a type checker sees nothing.
    llama: Any = importlib.import_module("xllamacpp")
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    params = llama.CommonParams()
    params.model.path = asked["file"]
    params.n_ctx = asked["context"]
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.warmup = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # Keys and values as they are: rounded to half precision a greedy choice may already differ.
    params.cache_type_k = llama.ggml_type.GGML_TYPE_F32
    params.cache_type_v = llama.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = asked["threads"]
    params.cpuparams_batch.n_threads = asked["threads"]
    # llama.cpp looks for the memory left and lowers the context; here it is needed whole.
    params.fit_params = False
    server = llama.Server(params)
    address = server.listening_address
    answers = [_next(address, prompt, asked["tokens"], 0)["tokens"] for prompt in asked["prompts"]]
    forced = [[_choice(_next(address, tokens, 1, asked["top"])) for tokens in steps] for steps in asked["forced"]]
    encoded = [_encode(address, text, special=False) for text in asked["texts"]]
    conversations = [_converse(address, messages) for messages in asked["conversations"]]
    content = json.dumps({"answers": answers, "forced": forced, "encoded": encoded, "conversations": conversations})
    Path(sys.argv[2]).write_text(content, encoding="utf-8")


def _next(address: str, prompt: list[int], count: int, top: int) -> dict[str, Any]:
    return _post(
        address,
        "completion",
        {
            "prompt": prompt,
            "n_predict": count,
            "temperature": 0,
            "samplers": ["temperature"],
            "n_probs": top,
            "return_tokens": True,
        },
    )


def _encode(address: str, text: str, *, special: bool) -> list[int]:
    """`special`: whether what looks like a special token is one."""
    return _post(address, "tokenize", {"content": text, "parse_special": special, "add_special": False})["tokens"]


def _converse(address: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    text = _post(address, "apply-template", {"messages": messages})["prompt"]
    return {"text": text, "tokens": _encode(address, text, special=True)}


def _choice(answer: dict[str, Any]) -> dict[str, Any]:
    # llama.cpp tells no probabilities of a token that ends inside a character.
    told = answer.get("completion_probabilities") or [{"top_logprobs": []}]
    return {"token": answer["tokens"][0], "top": {entry["id"]: entry["logprob"] for entry in told[0]["top_logprobs"]}}


def _post(address: str, path: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    # Nothing between this process and itself: a proxy of the environment does not know the port.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
