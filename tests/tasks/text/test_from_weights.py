"""A task that starts from a folder of somebody's weights: trained, exported, read by transformers and peft, and refused when it must."""

import json
import os
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from genwright import recipe as recipes
from genwright.api import Generator
from genwright.errors import RequestError
from genwright.model_folder import build_task
from genwright.request import request_class
from genwright.run import Run
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.prepare.stage import load_splits
from helpers import ASSETS
from helpers.weights_samples import tiny_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

STAGES = ["collect", "prepare", "train", "export"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A Llama folder with random weights, and a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("base") / "tiny-llama"
        folder.mkdir()
        tiny_folder(folder, "llama", "smollm", max_position_embeddings=128, tie_word_embeddings=False)
        yield folder


def recipe_of(base, **model) -> recipes.Recipe:
    content = {
        "task": "write",
        "data": {"sources": [{"folder": str(ASSETS / "text")}]},
        "model": {"from": str(base), "context": 48, **model},
        "train": {
            "budget": "4 steps",
            "batch": 4,
            "validate_times": 1,
            "previews": 1,
            "learning_rate": 0.003,
            "compile": "off",
        },
    }
    return recipes.parse(yaml.safe_dump(content))


def trained(base, folder, stages=STAGES, **model) -> Run:
    run = Run(folder)
    folder.mkdir(exist_ok=True)
    run_stages(recipe_of(base, **model), run, Options(device="cpu", offline=False, anyway=True), stages)
    return run


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def merged(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("merged") / "run", lora={"rank": 4})


@pytest.fixture(scope="module")
def change(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("change") / "run", lora={"rank": 4, "merge": False})


def losses(run):
    rows = [json.loads(line) for line in (run.stage("train") / "model" / "metrics.jsonl").read_text().splitlines()]
    return [row["model/loss"] for row in rows]


@pytest.mark.parametrize("name", ["whole", "merged"])
def test_the_exported_folder_is_the_sources_architecture(name, base, request):
    run = request.getfixturevalue(name)
    content = json.loads((run.stage("export") / "config.json").read_text())
    source = json.loads((base / "config.json").read_text())
    assert content["architectures"] == source["architectures"]
    for key in ("model_type", "vocab_size", "max_position_embeddings", "rms_norm_eps", "eos_token_id"):
        assert content[key] == source[key] or (key == "eos_token_id" and source[key] in content[key])
    theirs, before = (AutoModelForCausalLM.from_pretrained(f).eval() for f in (run.stage("export"), base))
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        ours = Generator(run.folder, "cpu").model.family.modules["model"](tokens)
        torch.testing.assert_close(ours, theirs(tokens).logits, atol=1e-4, rtol=1e-4)
        assert (theirs(tokens).logits - before(tokens).logits).abs().max() > 1e-3
    text = "To be, or not to be 🦊 <|im_end|>"
    made, source = (AutoTokenizer.from_pretrained(f) for f in (run.stage("export"), base))
    assert made(text).input_ids == source(text).input_ids
    chat = [{"role": "user", "content": "hello"}]
    assert made.apply_chat_template(chat, tokenize=False) == source.apply_chat_template(chat, tokenize=False)


def test_before_the_first_step_the_model_is_the_source(base, whole, change):
    """All kinds begin at the same loss, that of the source's weights."""
    assert losses(whole)[0] == pytest.approx(losses(change)[0], abs=1e-5)
    assert losses(change)[-1] != losses(change)[0]


def test_a_change_alone_is_what_merged_weights_are(change, merged, base):
    from peft import PeftModel

    folder = change.stage("export")
    assert not (folder / "model.safetensors").exists()
    assert (folder / "adapter_model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size / 2
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder)).eval()
    tokens = torch.arange(40)[None]
    with torch.no_grad():
        expected = adapted(tokens).logits
        one, two = (Generator(run.folder, "cpu").model.family.modules["model"](tokens) for run in (change, merged))
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_change_over_a_vocabulary_that_grew_opens_in_peft(tied, tmp_path):
    """As docs/weights.md says: the rows of the tokens that the task added are in the change."""
    from peft import PeftModel

    place = tmp_path / "plain-llama"
    place.mkdir()
    theirs = tiny_folder(place, "llama", "llama-bpe", max_position_embeddings=128, tie_word_embeddings=tied)
    (place / "chat_template.jinja").unlink()
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"the fox {i}"},
                {"role": "assistant", "content": f"and the hill {i}"},
            ]
        }
        for i in range(40)
    ]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    content = {
        "task": "chat",
        "data": {"sources": [{"table": str(tmp_path / "chats.jsonl")}]},
        "model": {"from": str(place), "context": 64, "lora": {"rank": 2, "merge": False}},
        "train": {"budget": "2 steps", "batch": 2, "validate_times": 1, "previews": 1, "compile": "off"},
    }
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run_stages(recipes.parse(yaml.safe_dump(content)), run, Options(device="cpu", offline=False), STAGES)
    assert run.record("export").summary["compared_in"] == ["genwright", "peft"]
    model = Generator(run.folder, "cpu").model
    added = [model.facts.special[name] for name in ("<|im_start|>", "<|im_end|>")]
    assert min(added) >= theirs.config.vocab_size
    tokenizer = AutoTokenizer.from_pretrained(run.stage("export"))
    assert len(tokenizer) > theirs.get_input_embeddings().num_embeddings
    theirs.resize_token_embeddings(len(tokenizer))
    adapted = PeftModel.from_pretrained(theirs, str(run.stage("export"))).eval()
    tokens = torch.tensor([[*added, 5, 6, *added]])
    with torch.no_grad():
        ours = model.family.modules["model"](tokens)
        torch.testing.assert_close(ours, adapted(tokens).logits, atol=1e-4, rtol=1e-5)
    # A change that was written before its rows were stored still opens: the base's reader draws the same ones.
    file = run.stage("export") / "adapter_model.safetensors"
    save_file({name: v for name, v in load_file(file).items() if "token_adapter" not in name}, file)
    with torch.no_grad():
        assert torch.equal(Generator(run.folder, "cpu").model.family.modules["model"](tokens), ours)


def test_an_output_matrix_that_only_the_config_ties_stays_its_own(tmp_path):
    place = tmp_path / "llama"
    place.mkdir()
    theirs = tiny_folder(place, "llama", "smollm", max_position_embeddings=128, tie_word_embeddings=False)
    content = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(content | {"tie_word_embeddings": True}))
    with pytest.raises(RequestError, match=r"set `tie_word_embeddings` to false in its config\.json"):
        trained(place, tmp_path / "change", lora={"merge": False})
    assert not (tmp_path / "change" / "train").exists()
    run = trained(place, tmp_path / "run")
    assert json.loads((run.stage("export") / "config.json").read_text())["tie_word_embeddings"] is False
    made = AutoModelForCausalLM.from_pretrained(run.stage("export"))
    before, after = theirs.state_dict(), made.state_dict()
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        torch.testing.assert_close(after[name], before[name], atol=0.05, rtol=0)
    assert not torch.equal(after["lm_head.weight"], after["model.embed_tokens.weight"])


def test_what_it_generates_is_text_and_repeats(change):
    generator = Generator(change.stage("export"), "cpu")
    made = ["".join(piece.data for piece in generator.generate("To be", max_tokens=20, seed=3)) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]


def test_it_writes_as_far_as_the_weights_know_not_as_it_was_trained(whole):
    """Trained at 48 tokens a row; what it goes on with behind a longer prompt is what transformers does, which sees all of them."""
    generator = Generator(whole.stage("export"), "cpu")
    theirs = AutoModelForCausalLM.from_pretrained(whole.stage("export")).eval()
    prompt = generator.model.facts.decode(range(40, 100))
    tokens = torch.tensor([generator.model.facts.encode(prompt).tolist()])
    assert 48 < tokens.shape[1] < 110
    assert generator.model.config.network["max_position_embeddings"] == 48
    with torch.no_grad():
        expected = theirs.generate(tokens, max_new_tokens=16, do_sample=False)[0, tokens.shape[1] :]
    made = list(generator.generate(prompt, max_tokens=16, temperature=0))
    kept = [token for token in expected.tolist() if token not in generator.model.facts.end_tokens]
    assert "".join(piece.data for piece in made) == generator.model.facts.decode(kept)


def test_a_hole_in_weights_that_begin_every_text_with_a_token(tmp_path):
    """Rows to learn from and requests both begin as Llama 3 was taught."""
    from helpers.weights_samples import tiny_folder

    place = tmp_path / "tiny-llama-3"
    place.mkdir()
    tiny_folder(place, "llama", "llama-bpe", max_position_embeddings=256)
    (tmp_path / "code").mkdir()
    for number in range(30):
        source = "".join(f"def f{number}_{i}(x):\n    return x * {i} + {number}\n\n\n" for i in range(5))
        (tmp_path / "code" / f"m{number}.py").write_text(source)
    content = {
        "task": "complete",
        "data": {"sources": [{"folder": str(tmp_path / "code")}]},
        "model": {"from": str(place), "context": 128},
        "train": {"budget": "2 steps", "batch": 2, "validate_times": 1, "previews": 1, "compile": "off"},
    }
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run_stages(recipes.parse(yaml.safe_dump(content)), run, Options(device="cpu", offline=False, anyway=True), STAGES)
    model = Generator(run.folder, "cpu").model
    begin = list(model.facts.begin_tokens)
    assert len(begin) == 1
    splits = load_splits(run, model.task)
    rows = model.task.batches(splits["train"], model.facts, model.config, 0, "model").batch(0, 8)
    assert rows["tokens"][:, 0].tolist() == begin * 8
    places = (rows["tokens"][:, :-1] == begin[0]).nonzero()
    assert (rows["tokens"][places[:, 0], places[:, 1] + 1] == model.facts.special["<|file_sep|>"]).all()
    request = request_class("complete", "transformer")(prefix="def f(x):\n    return ", suffix="\n")
    assert model.task.prompt(model, request)[0] == begin[0]


def test_the_checkpoint_holds_the_change_alone(change):
    file = next((change.stage("train") / "model" / "best").glob("*/weights.safetensors"))
    assert all(".lora_" in name for name in load_file(file))


def test_the_card_says_whose_weights_they_are_and_no_place_on_this_machine(whole, base):
    card = (whole.stage("export") / "README.md").read_text()
    assert "tiny-llama" in card
    assert "LlamaForCausalLM" in card
    assert "**mit**" in card
    assert all(str(base) not in file.read_text() for file in whole.stage("export").glob("*.json"))
    assert str(base) not in card


def test_other_weights_of_the_same_name_are_noticed(base, tmp_path):
    shutil.copytree(base, tmp_path / "base")
    run = trained(tmp_path / "base", tmp_path / "run", lora={"rank": 2, "merge": False})
    state = load_file(tmp_path / "base" / "model.safetensors")
    state["model.norm.weight"] += 1
    save_file(state, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RequestError, match="not the weights that this change was trained on"):
        Generator(run.stage("export"), "cpu").generate("The")
    with pytest.raises(RequestError, match="--fresh"):
        trained(tmp_path / "base", tmp_path / "run", lora={"rank": 2, "merge": False})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"context": 129}, r"`model\.context` is 129, and the weights of `model\.from` know 128 positions"),
        ({"layers": 3}, r"`model\.layers` is fixed by the weights"),
        ({"from": None, "lora": {}}, r"`model\.lora` is a change of weights to start from"),
    ],
)
def test_what_does_not_go_together_is_refused(base, model, message, tmp_path):
    with pytest.raises(RequestError, match=message):
        trained(base, tmp_path / "run", ["collect", "prepare", "train", "evaluate"], **model)


def test_a_chat_asks_for_no_more_than_the_weights_can_see_where_the_recipe_names_no_context(base):
    recipe = recipes.parse(
        yaml.safe_dump({"task": "chat", "data": {"sources": [{"folder": "x"}]}, "model": {"from": str(base)}})
    )
    task = build_task(recipe)
    task.check()
    assert task.encoding_settings()["context"] == 128


@pytest.mark.skipif(os.name != "posix", reason="rights of files")
def test_weights_can_be_read_by_whom_the_rest_of_the_model_can(whole, change):
    """A service runs as another user; safetensors writes for its own user alone."""
    for run in (whole, change):
        rights = {file.name: file.stat().st_mode & 0o777 for file in run.stage("export").iterdir() if file.is_file()}
        assert any(name.endswith(".safetensors") for name in rights) and len(set(rights.values())) == 1, rights


def test_paths_are_taken_from_the_recipes_folder(base, tmp_path):
    shutil.copytree(base, tmp_path / "weights")
    text = yaml.safe_dump({"task": "write", "data": {"sources": [{"folder": "x"}]}, "model": {"from": "weights"}})
    (tmp_path / "recipe.yaml").write_text(text)
    assert recipes.load(tmp_path / "recipe.yaml").model.from_ == str(tmp_path / "weights")
    text = text.replace("from: weights", "from: somebody/model")
    assert recipes.parse(text, folder=tmp_path).model.from_ == "somebody/model"
