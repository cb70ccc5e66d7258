"""`genwright export RUN --as FORMAT`: a model in a format that other runtimes read, loaded there and compared.

export/<format>/<type>/   beside the model folder: what the format needs, and
  export.json             what was written, by hash, and what it was compared in
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import torch
from pydantic import BaseModel

from genwright import files as disk
from genwright import model_folder as models
from genwright.console import say, size
from genwright.errors import RequestError
from genwright.exporters import comparison
from genwright.exporters.comparison import Comparison, Trial, Words
from genwright.exporters.pictures import folder as pictures
from genwright.exporters.pictures import prx
from genwright.exporters.pictures.folder import PictureComparison, PictureWork
from genwright.exporters.source import ModelReference, Reference, Source, is_language_model, source_of
from genwright.model import Model
from genwright.run import exports_of, model_folder, versions, write_atomic

RECORD = "export.json"


class Record(BaseModel):
    """export.json: what stands beside it, and how it was found to be the model."""

    format: str
    type: str
    model: str
    files: dict[str, str]
    """SHA-256 of every file, by its path."""
    bytes: int
    compared: list[Comparison | PictureComparison]
    not_compared: list[str]
    """What could not be compared, and why."""
    seconds: float
    finished: str
    versions: dict[str, str]


@dataclass
class Work:
    """An export under way: what a format writes from and is compared with."""

    source: Source
    reference: Reference
    controls: dict[str, object]
    """The model's own defaults for drawing."""
    kind: str
    folder: Path
    compared: list[Comparison]
    not_compared: list[str]

    def trials(self, context: int | None = None) -> list[Trial]:
        return comparison.trials(self.reference, context)

    def words(self) -> Words:
        return comparison.words(self.reference)

    @property
    def name(self) -> str:
        return self.source.name


@dataclass(frozen=True)
class Format:
    """`texts` and `pictures` fill the folder with a model of texts or of pictures, where the format has such; `packages` must be there to
    write at all."""

    types: tuple[str, ...]
    texts: Callable[[Work], None] | None = None
    packages: tuple[str, ...] = ()
    pictures: Callable[[PictureWork], None] | None = None

    def takes(self, model: Model) -> bool:
        if model.task.medium == "image":
            return self.pictures is not None and pictures.can_leave(model)
        return self.texts is not None and is_language_model(model)


def export_as(target: Path, name: str, out: Path | None = None, kind: str | None = None) -> tuple[Path, Record]:
    """Export a run or a model folder; where it went, and the record. `kind`: how weights are stored; default f32.

    Raises RequestError where the model can't leave in this format, WorkError where what was written is not the model.
    """
    started = time.monotonic()
    form = _format(name)
    kind = kind or form.types[0]
    if kind not in form.types:
        raise RequestError(f"--type {kind}: {name} is written as {' or '.join(form.types)}; name one of them.")
    folder = model_folder(target)
    model = models.load(folder, torch.device("cpu"))
    if not form.takes(model):
        fit = " or ".join(other for other, one in FORMATS.items() if one.takes(model))
        instead = f"it can be written as {fit}" if fit else f"its model folder {folder} is its export"
        raise RequestError(
            f"--as {name}: {target} is a model of the task {model.task.name} by {model.task.family}, which can't be written as {name}; {instead}."
        )
    for package in form.packages:
        if find_spec(package) is None:
            raise RequestError(f"--as {name}: needs the package {package}; pip install 'genwright[export]'.")
    run_name = folder.parent.name if folder.name == "model" else folder.name
    place = out or exports_of(folder) / name / kind
    _refuse_foreign(place)
    with disk.whole(place) as temporary:
        temporary.mkdir()
        if model.task.medium == "image":
            work = PictureWork(run_name, model, folder, kind, temporary, [], [])
            assert form.pictures is not None
            form.pictures(work)
        else:
            controls = model.family.Controls().model_dump(mode="json")
            source = source_of(model, folder, run_name)
            work = Work(source, ModelReference(model), controls, kind, temporary, [], [])
            assert form.texts is not None
            form.texts(work)
        record = _record(work, name, started)
        write_atomic(temporary / RECORD, record.model_dump_json(indent=2) + "\n")
    return place, record


def show(place: Path, record: Record) -> None:
    """The folder on standard output; how it was compared for the user to read."""
    for found in record.compared:
        say(f"compared: {found}")
    for missing in record.not_compared:
        say(missing)
    say(
        f"{record.format} {record.type}, {size(record.bytes)}, in {record.seconds:.0f} s; the record is {place / RECORD}"
    )
    print(place)


def write_hf(work: Work) -> None:
    from genwright.exporters import hugging_face

    hugging_face.write_folder(work.source, work.kind, work.folder)
    if find_spec("transformers") is None:
        work.not_compared.append("not compared in transformers, which is not installed (pip install transformers)")
        return
    work.compared.append(hugging_face.compare(work.folder, work.trials(), work.words(), exact=work.kind == "f32"))


def write_gguf(work: Work) -> None:
    from genwright.exporters.gguf import file as gguf_file
    from genwright.exporters.gguf import llama_cpp, ollama
    from genwright.exporters.gguf.tokenizer import read_vocabulary

    config = gguf_file.config_of(work.source)
    vocabulary = read_vocabulary(work.source.folder, config.vocab_size)
    file = work.folder / f"{work.source.name}-{work.kind}.gguf"
    gguf_file.write_gguf(work.source, vocabulary, work.kind, file)
    context = gguf_file.context_of(config)
    modelfile = ollama.modelfile(file.name, vocabulary, context, work.controls)
    (work.folder / "Modelfile").write_text(modelfile, encoding="utf-8")
    missing = llama_cpp.missing()
    work.not_compared += [*([missing] if missing else []), "the Modelfile is for Ollama and was not tried there"]
    if missing:
        return
    found = llama_cpp.compare(
        file, work.trials(context), work.words(), exact=work.kind == "f32", threads=torch.get_num_threads()
    )
    if context < config.max_position_embeddings:
        found.notes.append(f"its context ends at the sliding window of {context} tokens, which llama.cpp does not have")
    work.compared.append(found)


def write_onnx(work: Work) -> None:
    from genwright.exporters.onnx import folder as onnx_folder
    from genwright.exporters.source import end_tokens
    from genwright.networks.hugging_face import from_hf_config

    config = from_hf_config(work.source.config)
    onnx_folder.write_folder(work.source, config, end_tokens(work.source.folder), work.folder)
    if find_spec("onnxruntime") is None:
        work.not_compared.append("not compared in onnxruntime, which is not installed (pip install onnxruntime)")
        return
    made = work.trials()
    work.compared.append(onnx_folder.compare(work.folder, config, made, torch.get_num_threads()))
    if find_spec("onnxruntime_genai") is None:
        work.not_compared.append("not compared in onnxruntime-genai, which is not installed")
        return
    work.compared.append(onnx_folder.compare_genai(work.folder, made, work.words()))


def write_drawing_onnx(work: PictureWork) -> None:
    pictures.write_folder(work)
    if find_spec("onnxruntime") is None:
        work.not_compared.append("not compared in onnxruntime, which is not installed (pip install onnxruntime)")
        return
    work.compared.append(pictures.compare(work, torch.get_num_threads()))


def write_diffusers(work: PictureWork) -> None:
    prx.write_folder(work)
    if missing := prx.missing():
        work.not_compared.append(missing)
    else:
        work.compared.append(prx.compare(work))


FORMATS = {
    "hf": Format(("f32", "f16"), write_hf),
    "gguf": Format(("f32", "f16", "q8_0"), write_gguf, ("gguf",)),
    "onnx": Format(("f32",), write_onnx, ("onnx",), write_drawing_onnx),
    "diffusers": Format(("f32",), pictures=write_diffusers),
}


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise RequestError(f"--as {name}: no such format; formats are {', '.join(FORMATS)}.")
    return FORMATS[name]


def _refuse_foreign(place: Path) -> None:
    if place.is_dir() and any(place.iterdir()) and not (place / RECORD).exists():
        raise RequestError(
            f"--out {place}: holds other files; name a new folder, or one that an export was written to."
        )
    if place.exists() and not place.is_dir():
        raise RequestError(f"--out {place}: is a file; name a folder.")


def _record(work: Work | PictureWork, name: str, started: float) -> Record:
    files = {}
    for file in sorted(work.folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as content:
                files[file.relative_to(work.folder).as_posix()] = hashlib.file_digest(content, "sha256").hexdigest()
    return Record(
        format=name,
        type=work.kind,
        model=work.name,
        files=files,
        bytes=sum((work.folder / file).stat().st_size for file in files),
        compared=[*work.compared],
        not_compared=work.not_compared,
        seconds=round(time.monotonic() - started, 2),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
    )
