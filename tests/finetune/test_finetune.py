"""The command as a user gives it, at tiny size, and the recipes of conf/finetune."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from torch import nn

from orthrus import MambaEncoder, TranscriptStore, load_encoder
from orthrus.cli import main
from orthrus.finetune.module import layer_depths, task_loss
from orthrus.nn.baselines import Saluki
from orthrus.probe.targets import Target
from orthrus.probe.targets import Task as TaskType

Task = Callable[[str, str], Path]
CONF = Path(__file__).resolve().parents[2] / "conf" / "finetune"


@pytest.fixture
def finetune(store: TranscriptStore, tmp_path: Path) -> Callable[..., int]:
    def run(task: Path, *args: str, epochs: int = 2, output: str = "run") -> int:
        return main(
            [
                "finetune", *args, f"--trainer.default_root_dir={tmp_path / output}", f"--data.task={task}",
                f"--data.store={store.path}", "--data.token_budget=1500", "--data.n_splits=2", "--data.num_workers=0",
                f"--trainer.max_epochs={epochs}", "--trainer.enable_progress_bar=false",
            ]
        )  # fmt: skip

    return run


def scores(folder: Path, name: str, metric: str) -> list[float]:
    document = json.loads((folder / "result" / "metrics.json").read_text())
    per_seed: list[float] = document["feature_sets"][name]["scores"][metric]["per_seed"]
    return per_seed


def test_a_frozen_encoder_with_a_linear_head_comes_near_the_ridge_probe(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path
) -> None:
    args = ["--model.freeze=true", "--model.learning_rate=0.05", "--model.weight_decay=0.1", "--patience=60"]
    assert finetune(task("value", "regression"), f"--model.checkpoint={checkpoint}", *args, epochs=60) == 0
    ours, probe = (scores(tmp_path / "run", name, "pearson_r") for name in ("fine-tuned", "frozen"))
    np.testing.assert_allclose(ours, probe, atol=0.12)
    assert min(ours) > 0.6
    encoder = load_encoder(tmp_path / "run" / "split_0" / "encoder").state_dict()
    for name, tensor in load_encoder(checkpoint).state_dict().items():
        torch.testing.assert_close(encoder[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("target", "kind", "metric", "n_targets"),
    [
        ("class", "classification", "auroc", 1),
        ("bits", "multilabel", "auprc", 2),
    ],
)
def test_other_tasks_leave_scores_and_predictions(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path, target: str, kind: str, metric: str,
    n_targets: int,
) -> None:  # fmt: skip
    assert finetune(task(target, kind), f"--model.checkpoint={checkpoint}") == 0
    folder = tmp_path / "run"
    assert len(scores(folder, "fine-tuned", metric)) == 2
    table = pq.read_table(folder / "split_1" / "predictions.parquet")
    assert len(table.column_names) == 1 + 2 * n_targets
    assert set(np.unique(table[table.column_names[1]].to_numpy())) == {0.0, 1.0}
    document = json.loads((folder / "result" / "metrics.json").read_text())
    assert list(document["feature_sets"]) == ["fine-tuned", "frozen", "codon", "k-mer"]
    assert set(document["differences"]) == {"frozen", "codon", "k-mer"}
    assert len(table) == document["rows_by_seed"]["test"][1]


def test_scores_are_those_of_the_written_predictions(finetune: Callable[..., int], task: Task, tmp_path: Path) -> None:
    network = ["--model.network=orthrus.nn.baselines.Saluki", "--model.network.init_args.d_model=8"]
    assert finetune(task("value", "regression"), *network) == 0
    for split, score in enumerate(scores(tmp_path / "run", "fine-tuned", "pearson_r")):
        table = pq.read_table(tmp_path / "run" / f"split_{split}" / "predictions.parquet").to_pandas()
        assert score == pytest.approx(np.corrcoef(table["truth:value"], table["prediction:value"])[0, 1])
    assert not (tmp_path / "run" / "split_0" / "encoder").exists()  # a baseline is no encoder


def test_lora_leaves_an_encoder_that_anyone_can_load(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path
) -> None:
    lora = ["--model.lora=orthrus.finetune.lora.LoRA", "--model.lora.init_args.rank=2"]
    assert finetune(task("class", "classification"), f"--model.checkpoint={checkpoint}", *lora) == 0
    before, after = load_encoder(checkpoint).state_dict(), load_encoder(tmp_path / "run/split_0/encoder").state_dict()
    changed = {name.rsplit(".", 2)[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"in_proj", "x_proj", "dt_proj", "out_proj"}
    rank = torch.linalg.matrix_rank(after["layers.0.mixer.in_proj.weight"] - before["layers.0.mixer.in_proj.weight"])
    assert int(rank) <= 2


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_repeated(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, args = task("value", "regression"), [f"--model.checkpoint={checkpoint}"]
    assert finetune(path, *args, output="whole", epochs=3) == 0
    from orthrus.finetune.module import FineTuning

    step = FineTuning.training_step
    epochs: list[int] = []

    def interrupted(self: FineTuning, batch: object, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 2 and len(epochs) < 1:
            epochs.append(2)
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(FineTuning, "training_step", interrupted)
    with pytest.raises(SystemExit):
        finetune(path, *args, epochs=3)
    assert not (tmp_path / "run" / "split_0" / "predictions.parquet").exists()
    assert finetune(path, *args, epochs=3) == 0
    for split in (0, 1):
        tables = [pq.read_table(tmp_path / run / f"split_{split}" / "predictions.parquet") for run in ("whole", "run")]
        np.testing.assert_allclose(
            tables[0]["prediction:value"].to_numpy(), tables[1]["prediction:value"].to_numpy(), rtol=1e-4, atol=1e-5
        )
    monkeypatch.setattr(FineTuning, "training_step", None)
    (tmp_path / "run" / "result" / "scores.csv").unlink()
    assert finetune(path, *args, epochs=3) == 0  # trains nothing, scores anew
    assert len(pd.read_csv(tmp_path / "run" / "result" / "scores.csv")) == 4 * 2 * 3


@pytest.mark.parametrize("left", [0, 0.5], ids=["empty", "half"])
def test_a_split_whose_last_checkpoint_is_cut_begins_anew(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], left: float,
) -> None:  # fmt: skip
    from orthrus.finetune.module import FineTuning

    path, args = task("value", "regression"), [f"--model.checkpoint={checkpoint}"]

    def interrupted(self: FineTuning, *_: object) -> None:
        if self.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(FineTuning, "on_train_batch_start", interrupted)
    with pytest.raises(SystemExit):
        finetune(path, *args)
    monkeypatch.undo()
    last = tmp_path / "run" / "split_0" / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: int(left * len(whole))])
    assert finetune(path, *args) == 0
    assert "last.ckpt is no whole checkpoint" in " ".join(capsys.readouterr().err.split())
    table = pq.read_table(tmp_path / "run" / "split_0" / "predictions.parquet")
    assert np.isfinite(table["prediction:value"].to_numpy()).all()


def test_training_that_diverges_is_said_and_leaves_no_predictions(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from orthrus.finetune.module import FineTuning

    path, given = task("value", "regression"), f"--model.checkpoint={checkpoint}"
    assert finetune(path, given, "--model.weight_decay=1e30") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "split 0: validation losses are not finite, since training diverged; lower model.learning_rate" in err
    predict = FineTuning.predict_step
    monkeypatch.setattr(
        FineTuning, "predict_step", lambda *args: (lambda rows, scores: (rows, scores / 0 * 0))(*predict(*args))
    )
    assert finetune(path, given, output="other") == 2
    assert "split 0: predictions are not finite" in " ".join(capsys.readouterr().err.split())
    assert not [*tmp_path.rglob("predictions.parquet"), *tmp_path.rglob("encoder")]


def test_what_cannot_be_run_is_one_line(
    finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = task("value", "regression")

    def refusal(*args: str, **kwargs: str) -> str:
        assert finetune(path, *args, **kwargs) == 2
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return " ".join(err.split())

    assert "expected one of model.checkpoint" in refusal()
    assert "expected one of model.checkpoint" in refusal(
        f"--model.checkpoint={checkpoint}", "--model.network=orthrus.nn.baselines.Saluki"
    )
    assert "has no `represent`" in refusal("--model.network=torch.nn.ReLU")
    assert "give it or model.lora, not both" in refusal(
        f"--model.checkpoint={checkpoint}", "--model.freeze=true", "--model.lora=orthrus.finetune.lora.LoRA"
    )
    assert "no model" in refusal(f"--model.checkpoint={tmp_path / 'nothing.ckpt'}")
    assert "see `orthrus finetune --help`" in refusal("--model.learning_rat=1")
    assert not (tmp_path / "run").exists()
    assert finetune(path, f"--model.checkpoint={checkpoint}", epochs=1) == 0
    capsys.readouterr()
    assert "holds a run of another configuration" in refusal(f"--model.checkpoint={checkpoint}", "--patience=7")


@pytest.mark.parametrize("recipe", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_runs_at_tiny_size(
    recipe: Path, finetune: Callable[..., int], task: Task, checkpoint: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(recipe.read_text())
    args = [f"--model.checkpoint={checkpoint}"] if "checkpoint" in config["model"] else []
    assert finetune(task("value", "regression"), f"--config={recipe}", *args, epochs=1) == 0
    assert (tmp_path / "run" / "result" / "bars.png").exists()


def test_layers_and_their_rates() -> None:
    depths = layer_depths(MambaEncoder(6, 8, 3))
    assert depths["embedding.weight"] == 0
    assert depths["layers.0.norm.weight"] == 1
    assert depths["layers.2.mixer.A_log"] == 3
    assert depths["norm_f.weight"] == 3
    assert set(layer_depths(Saluki()).values()) == {0}


def test_losses_are_torchs(task: Task) -> None:
    scores_BT = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, 0.1]])
    one_hot = torch.tensor([[0.0, 0, 1], [1, 0, 0]])

    def target(kind: TaskType) -> Target:
        return Target(kind, ("a", "b", "c"), one_hot.double().numpy(), np.arange(2), {})

    assert task_loss(target(TaskType.REGRESSION), scores_BT, one_hot) == ((scores_BT - one_hot) ** 2).mean()
    expected = nn.functional.cross_entropy(scores_BT, torch.tensor([2, 0]))
    torch.testing.assert_close(task_loss(target(TaskType.CLASSIFICATION), scores_BT, one_hot), expected)
    sigmoid = torch.sigmoid(scores_BT)
    literal = -(one_hot * sigmoid.log() + (1 - one_hot) * (1 - sigmoid).log()).mean()
    torch.testing.assert_close(task_loss(target(TaskType.MULTILABEL), scores_BT, one_hot), literal)
