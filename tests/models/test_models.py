"""Models by name, through the real cache of huggingface_hub, without a network."""

import hashlib
from pathlib import Path

import pytest

import orthrus
from orthrus import models
from orthrus.errors import InputError
from orthrus.models import find_model, hub, known_models, load_model
from orthrus.nn.checkpoints import save_encoder
from orthrus.nn.encoder import MambaEncoder
from tests.nn.test_checkpoints import assert_same, make_encoder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, MambaEncoder]:
    """``lab/small`` in a cache of its own, laid out as the hub's client lays it out."""
    encoder = make_encoder(6)
    save_encoder(encoder, tmp_path / "exported")
    cache = tmp_path / "cache" / "models--lab--small"
    snapshot = cache / "snapshots" / ("a" * 40)
    for folder in (cache / "blobs", cache / "refs", snapshot):
        folder.mkdir(parents=True)
    (cache / "refs" / "main").write_text("a" * 40)
    for path in (tmp_path / "exported").iterdir():
        content = path.read_bytes()
        large = path.suffix == ".safetensors"
        name = (
            hashlib.sha256(content).hexdigest()
            if large
            else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        )
        (cache / "blobs" / name).write_bytes(content)
        (snapshot / path.name).symlink_to(cache / "blobs" / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return "lab/small", encoder


def test_a_folder_and_a_checkpoint_are_models(tmp_path: Path) -> None:
    encoder = make_encoder(4)
    save_encoder(encoder, tmp_path / "mine")
    assert_same(load_model(tmp_path / "mine"), encoder)
    assert_same(orthrus.load_model(str(tmp_path / "mine" / "model.safetensors")), encoder)


def test_a_repository_in_the_cache_needs_no_network(repository: tuple[str, MambaEncoder]) -> None:
    name, encoder = repository
    assert_same(load_model(name), encoder)
    assert_same(load_model(f"hf-{name}"), encoder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_cached_file_that_changed_is_refused(repository: tuple[str, MambaEncoder], file: str) -> None:
    folder = hub.cached(repository[0])
    assert folder is not None
    blob = (folder / file).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match="does not match its checksum"):
        load_model(repository[0])


def test_a_known_name_is_its_repository(repository: tuple[str, MambaEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"repository": repository[0], "tracks": 6, "parameters": 1, "trained_on": "noise", "licence": "MIT"}
    monkeypatch.setattr(models, "_table", lambda: {"default": None, "shipped": {}, "published": {"small": about}})
    assert find_model("small") == hub.cached(repository[0])
    assert [(model.name, model.place) for model in known_models()] == [("small", "cached")]


def test_a_repository_that_cannot_be_fetched_is_an_error_of_one_line(repository: tuple[str, MambaEncoder]) -> None:
    with pytest.raises(InputError, match=r"lab/other is nothing on this disk and cannot be fetched") as caught:
        load_model("lab/other")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nothing", "a/b/c", "./lab/small"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match="orthrus-6-track"):
        find_model(name)


def test_a_checkpoint_that_is_missing_is_not_sought_on_the_hub() -> None:
    with pytest.raises(InputError, match=r"there is no checkpoint at runs/last\.ckpt"):
        find_model("runs/last.ckpt")


def test_shipped_models_are_whole() -> None:
    for model in known_models():
        if model.place == "shipped":
            assert load_model(model.name).n_tracks == model.tracks
            assert load_model(model.name).n_parameters == model.parameters
            assert model.folder is not None
            assert (model.folder / "README.md").is_file()
