"""Objectives and the switches of the training step in a recipe, as a user runs them."""

import re
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from orthrus.objectives import Linear, Term
from orthrus.training.module import Pretraining
from tests.builders import build_store
from tests.conftest import REPOSITORY
from tests.training.test_fit import fit, metrics

WEIGHT = "--model.objective.mlm.init_args.weight"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("fit") / "store", n_genes=24).path


def column(run: Path, name: str, version: int = 0) -> dict[str, str]:
    return {row["step"]: row[name] for row in metrics(run, version) if row.get(name)}


def test_a_scheduled_weight_follows_the_steps_through_a_resumption(tmp_path: Path, store: Path) -> None:
    schedule = [f"{WEIGHT}=orthrus.objectives.Linear", f"{WEIGHT}.start=1", f"{WEIGHT}.end=0.5", f"{WEIGHT}.steps=5"]
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert fit(whole, store, "--trainer.max_steps=6", *schedule) == 0
    stop = ["--trainer.callbacks+=tests.training.stop.StopAt", "--trainer.callbacks.step=3"]
    assert fit(halved, store, "--trainer.max_steps=6", *schedule, *stop) == 0
    last = halved / "checkpoints" / "last.ckpt"
    assert fit(halved, store, "--trainer.max_steps=6", *schedule, f"--ckpt_path={last}") == 0
    weights = column(whole, "train/mlm_weight")
    assert [float(weight) for weight in weights.values()] == pytest.approx(
        [Linear(1, 0.5, 5)(step) for step in range(6)]
    )
    for name in ("train/mlm_weight", "train/loss"):
        assert column(halved, name) | column(halved, name, version=1) == column(whole, name)
    assert "val/mlm_weight" not in metrics(whole)[0]


def test_chunks_and_checkpointed_layers_train_alike(tmp_path: Path, store: Path) -> None:
    at_once, saving = tmp_path / "at_once", tmp_path / "saving"
    assert fit(at_once, store) == 0
    switches = ["--model.chunk_rows=8", "--model.encoder.init_args.gradient_checkpointing=true"]
    assert fit(saving, store, *switches) == 0
    for name in ("train/loss", "train/contrastive", "train/mlm"):
        expected = [float(loss) for loss in column(at_once, name).values()]
        assert [float(loss) for loss in column(saving, name).values()] == pytest.approx(expected, rel=1e-4)


def test_bf16_mixed_on_a_cpu_trains_close_to_float32(tmp_path: Path, store: Path) -> None:
    single, mixed = tmp_path / "single", tmp_path / "mixed"
    slow = "--model.learning_rate=1e-4"  # or rounding parts the two runs
    assert fit(single, store, slow) == 0
    assert fit(mixed, store, slow, "--trainer.precision=bf16-mixed") == 0
    expected = [float(loss) for loss in column(single, "train/loss").values()]
    got = [float(loss) for loss in column(mixed, "train/loss").values()]
    assert got != expected
    assert got == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_a_compiled_encoder_trains_alike(tmp_path: Path, store: Path) -> None:
    plain, compiled = tmp_path / "plain", tmp_path / "compiled"
    slow = "--model.learning_rate=1e-4"  # or rounding parts the two runs
    assert fit(plain, store, slow) == 0
    assert fit(compiled, store, slow, "--model.compile_encoder=true") == 0
    expected = [float(loss) for loss in column(plain, "train/loss").values()]
    assert [float(loss) for loss in column(compiled, "train/loss").values()] == pytest.approx(expected, rel=1e-3)


def test_terms_log_under_their_names(tmp_path: Path, store: Path) -> None:
    annotation = "--model.objective.annotation=orthrus.objectives.AnnotationTerm"
    assert fit(tmp_path / "run", store, annotation, "--data.annotation_fraction=0.15") == 0
    names = set(metrics(tmp_path / "run")[0])
    for stage in ("train", "val"):
        assert {f"{stage}/{name}" for name in ("loss", "contrastive", "mlm", "mlm_accuracy", "annotation_cds")} <= names
    assert {"train/retrieval_top1", "val/retrieval_top1"} <= names


@pytest.mark.parametrize("stem", ["base", "codon"])
def test_the_next_token_is_predicted_beside_the_pairs_with_a_memory_through_a_resumption(
    stem: str, tmp_path: Path, store: Path
) -> None:
    words = {"base": 4, "codon": 64}[stem]
    joint = [
        f"--model.encoder.init_args.stem={stem}",
        "--data.augmentations=[]",
        "--data.mlm_fraction=0",
        f"--model.objective={{next: {{class_path: orthrus.objectives.NextTokenTerm, init_args: {{n_words: {words}}}}},"
        " contrastive: {class_path: orthrus.objectives.ContrastiveTerm, init_args: {memory: 16}}}",
        "--trainer.max_steps=6",
    ]
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert fit(whole, store, *joint) == 0
    stop = ["--trainer.callbacks+=tests.training.stop.StopAt", "--trainer.callbacks.step=4"]
    assert fit(halved, store, *joint, *stop) == 0
    assert fit(halved, store, *joint, "--resume=auto") == 0
    for name in ("train/loss", "train/next", "train/contrastive"):
        assert column(halved, name) | column(halved, name, version=1) == column(whole, name)


def test_the_next_token_alone_is_learned_from_single_views(tmp_path: Path, store: Path) -> None:
    alone = [
        "--data.augmentations=[]",
        "--data.mlm_fraction=0",
        "--data.views=1",
        "--model.objective={next: orthrus.objectives.NextTokenTerm}",
        "--model.decay_share=0.5",
        "--trainer.max_steps=8",
    ]
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert fit(whole, store, *alone) == 0
    assert fit(halved, store, *alone, "--trainer.max_steps=4", "--model.decay_share=0") == 0
    assert fit(halved, store, *alone, "--resume=auto") == 0  # prolonged while the rate was level
    assert column(halved, "train/loss") | column(halved, "train/loss", version=1) == column(whole, "train/loss")
    assert column(whole, "val/retrieval_top1")
    assert not column(whole, "train/retrieval_top1")


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        (f"{WEIGHT}=-1", "must be 0 or more, got -1"),
        (f"{WEIGHT}=orthrus.objectives.WarmUp {WEIGHT}.value=1 {WEIGHT}.steps=0", "must be at least 1, got 0"),
        ("--data.mlm_fraction=0", "model.objective.mlm predicts what data.mlm_fraction hides, which is 0"),
        ("--model.encoder.init_args.stem=codon", "model.objective.mlm predicts single bases"),
        ("--model.objective.next=orthrus.objectives.NextTokenTerm --model.objective.next.n_words=64",
         "model.objective.next predicts one of 64 words, and the encoder's stem 'base' has 4: make its n_words 4"),
        ("--model.objective.next=orthrus.objectives.NextTokenTerm --model.encoder.init_args.bidirectional=true",
         "model.objective.next predicts the next token, which a bidirectional encoder has seen"),
        ("--data.views=1", "model.objective.contrastive compares the two views of a pair, and data.views is 1"),
        ("--model.decay_share=1.5", "model.decay_share is 1.5; expected a fraction between 0 and 1"),
        ("--model.objective={}", "an objective needs at least one term"),
        ("--model.objective.mlm=orthrus.objectives.Nothing", "orthrus.objectives.Nothing"),
        ("--model.chunk_rows=0", "model.chunk_rows must be at least 1"),
        ("--model.objective.contrastive.init_args.loss=orthrus.objectives.InfoNCELoss"
         " --model.objective.contrastive.init_args.loss.temperature=0", "temperature must be above 0, got 0"),
    ],
)  # fmt: skip
def test_unusable_objectives_are_refused_in_a_line(
    arg: str, message: str, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, *arg.split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def documented_objectives() -> list[str]:
    text = (REPOSITORY / "docs" / "objectives.md").read_text()
    return [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "objective:" in block]


@pytest.mark.parametrize("block", documented_objectives())
def test_every_documented_objective_can_be_built(block: str) -> None:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(Pretraining, "model")
    recipe = yaml.safe_load(block)["model"] | {"encoder": {"class_path": "orthrus.MambaEncoder"}}
    module = parser.instantiate_classes(parser.parse_object({"model": recipe})).model
    assert all(isinstance(term, Term) for term in module.objective.terms.values())
