"""A whole study at tiny size: fits, probes, laws and page, resumed, and what stops it."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from orthrus.cli import main
from orthrus.errors import InputError
from orthrus.probe.document import read_document
from orthrus.recipes import SHIPPED
from orthrus.study.document import StudyDocument
from orthrus.study.run import run_fit, run_in_process_of_its_own
from orthrus.study.spec import read_study
from tests.builders import build_store


def in_this_process(args, log):
    """Runs a command as the study would in a process of its own."""
    status = main(list(args))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.open("a").write(f"{args[0]} ended with {status}\n")
    return status


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, labels of its transcripts, and the shipped tiny study pointed at them."""
    folder = tmp_path_factory.mktemp("study")
    store = build_store(folder / "store", n_genes=40, length=90)
    rows = [f"{name}\t{len(store.sequence(i))}" for i, name in enumerate(store.column("transcript_id"))]
    (folder / "labels.tsv").write_text("\n".join(["transcript_id\tnt", *rows]) + "\n")
    (folder / "length.yaml").write_text("labels: labels.tsv\ntarget: nt\ntask: regression\n")
    text = (SHIPPED / "conf/study/tiny.yaml").read_text()
    for pattern, replacement in (
        (r"nucleotides: .*", "nucleotides: 4.0e3"),
        (r"data\.token_budget: \d+", f"data.token_budget: 2000, data.store: {store.path}"),
        (r"store: stores/demo", f"store: {store.path}"),
        (r"tasks: .*", f"tasks: {folder / 'length.yaml'}"),
        (r"splits: 3", "splits: 2"),
    ):
        text, n = re.subn(pattern, replacement, text)
        assert n == 1, pattern
    (folder / "tiny.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orthrus.study.run.run_in_process_of_its_own", in_this_process)
        assert main(["study", str(folder / "tiny.yaml"), "--output", str(folder / "out")]) == 0
    return folder / "out"


def test_the_shipped_study_leaves_a_page_with_laws_and_every_fit(done, folder):
    document = StudyDocument.model_validate_json((done / "study.json").read_text())
    assert document.recipe == "fit/demo"
    assert (len(document.fits), document.missing) == (2, [])
    small, large = document.fits
    assert small.parameters < large.parameters
    assert (small.levels, small.seed) == ({"parameters": "16x1"}, 0)
    assert set(small.tasks["length"].scores) >= {"embedding", "embedding + codon control", "codon", "random-init"}
    probe = read_document(done / "fits" / small.name / "probe" / "length" / "metrics.json")
    assert small.tasks["length"].scores["codon"] == probe.feature_sets["codon"].scores["pearson_r"].mean
    assert small.tasks["length"].by_pretraining == {
        name: part.feature_sets["embedding"]["pearson_r"].mean for name, part in probe.by_pretraining.items()
    }
    assert {(law.outcome, law.along) for law in document.laws} >= {("length", "parameters")}
    page = (done / "study.html").read_text()
    for text in ("Error against size", "Power laws", small.name, "length, Pearson R", "embedding + codon control"):
        assert text in page, text
    assert "http" not in re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.S)
    rows = pd.read_csv(done / "study.csv")
    assert set(rows["fit"]) == {fit.name for fit in document.fits}
    assert {"parameters", "nucleotides", "seed", "feature_set", "score"} <= set(rows)


def test_what_is_done_is_not_done_again_and_what_is_missing_is(done, folder, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(
        "orthrus.study.run.run_in_process_of_its_own",
        lambda args, log: (commands.append(args[0]), in_this_process(args, log))[1],
    )
    study = ["study", str(folder / "tiny.yaml"), "--output", str(done)]
    (fit, *_) = read_study(folder / "tiny.yaml").fits()
    shutil.rmtree(done / "fits" / fit.name / "probe" / "length")
    assert main([*study, "--list"]) == 0
    assert f"1\t{fit.name}\tto do" in capsys.readouterr().out
    assert main([*study, "--fit", "2"]) == 0
    assert commands == []
    assert main([*study, "--fit", "1"]) == 0
    assert commands == ["probe"]
    assert main([*study, "--fit", "3"]) == 2
    assert "the study has fits 1 to 2" in capsys.readouterr().err


def test_a_study_that_is_half_done_has_a_page_that_says_so(done, folder, tmp_path, monkeypatch):
    shutil.copytree(done, tmp_path / "out")
    (fit, *_) = read_study(folder / "tiny.yaml").fits()
    shutil.rmtree(tmp_path / "out" / "fits" / fit.name)
    from orthrus.study.document import gather
    from orthrus.study.page import write_study

    document = gather(read_study(folder / "tiny.yaml"), tmp_path / "out")
    assert document.missing == [fit.name]
    page, *_ = write_study(document, tmp_path / "out")
    assert "Fits that are not done" in page.read_text()


def test_other_settings_in_the_same_place_are_refused(done, folder, tmp_path):
    changed = tmp_path / "tiny.yaml"
    changed.write_text((folder / "tiny.yaml").read_text().replace("2000", "1000"))
    study = read_study(changed)
    with pytest.raises(InputError, match="holds a fit of other settings"):
        run_fit(study.fits()[0], done, study, run=lambda args, log: 0)


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [("2000", "1000", "a fit"), ("splits: 2", "splits: 3", "probes"), ("length.yaml", "other/length.yaml", "probes")],
)
def test_what_is_done_by_other_settings_is_refused(done, folder, tmp_path, capsys, before, after, what):
    changed = tmp_path / "tiny.yaml"
    changed.write_text((folder / "tiny.yaml").read_text().replace(before, after))
    (folder / "other").mkdir(exist_ok=True)
    shutil.copy(folder / "length.yaml", folder / "other")
    assert main(["study", str(changed), "--output", str(done)]) == 2
    assert f"holds {what} of other settings" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("status", "error"), [(2, InputError), (75, SystemExit), (1, SystemExit)])
def test_a_command_that_fails_ends_the_fit_with_what_it_said(folder, tmp_path, status, error):
    study = read_study(folder / "tiny.yaml")

    def fail(args, log):
        log.write_text("loading\nerror: no store there\n\n")
        return status

    with pytest.raises(error) as raised:
        run_fit(study.fits()[0], tmp_path, study, run=fail)
    if status == 2:
        assert "`orthrus fit` failed: no store there" in str(raised.value)
    else:
        assert raised.value.code == status


def test_a_process_of_its_own_says_what_it_said_into_the_log(tmp_path: Path):
    assert run_in_process_of_its_own(["inspect", "gone"], tmp_path / "log") == 2
    assert "gone" in (tmp_path / "log").read_text().splitlines()[-1]
