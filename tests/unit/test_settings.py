"""Study files: what is read is what was meant."""

import dataclasses
from types import SimpleNamespace

import pytest

from ionstride.errors import FormatError, InputError
from ionstride.settings import Study, as_toml, load_study, net_of_rounds
from ionstride.stages.learning import goes_on


def test_defaults_read_back(tmp_path):
    """Printed defaults that do not read back to themselves would be a wrong manual."""
    file = tmp_path / "study.toml"
    file.write_text(as_toml(Study()))
    assert dataclasses.replace(load_study(file), folder=Study().folder) == Study()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[md]\nprodution_ps = 3", ["'prodution_ps'", "[md]", "'production_ps'"]),
        ("[mdd]\nx = 1", ["'mdd'", "'md'"]),
        ("[md]\nreplicas = 2.5", ["md.replicas", "2.5", "whole number"]),
        ("[md]\nensemble = 'nvtt'", ["'nvtt'", "'nvt'"]),
        ("md = 3", ["[md]"]),
        ("seed = -1", ["seed", "-1"]),
        ("[md]\nsupercell = [2, 2]", ["md.supercell", "[2, 2]"]),
        ("[md]\nproduction_ps = nan", ["md.production_ps", "nan"]),
        ("[transport]\nfit_ps = [1]", ["transport.fit_ps"]),
        ("[structure]\nfile = []", ["structure.file"]),
        ("[md]\ntemperatures_K = ['hot']", ["md.temperatures_K", "'hot'", "number"]),
    ],
)
def test_wrong_keys_and_values(tmp_path, text, words):
    """A misspelt key that is silently ignored gives a run with the default instead."""
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_study(file)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_not_toml(tmp_path):
    """A broken file is named, with the place."""
    file = tmp_path / "study.toml"
    file.write_text("[md\n")
    with pytest.raises(FormatError, match="not valid TOML"):
        load_study(file)


def test_overrides():
    """`--set` must read numbers, lists and bare words, and make paths start where the user stands."""
    study = load_study(None, ["md.temperatures_K=[600, 800]", "name=x", "reference.frames=a.npz", "md.timestep_fs=2"])
    assert study.md.temperatures_K == (600.0, 800.0)
    assert study.md.timestep_fs == 2.0
    assert study.name == "x"
    assert study.reference.frames[0].endswith("/a.npz")
    assert study.reference.frames[0].startswith("/")
    assert load_study(None, ["reference.settings=a.toml"]).reference.settings.startswith("/")
    with pytest.raises(InputError, match="key=value"):
        load_study(None, ["md.replicas"])


def test_the_net_of_the_rounds():
    """Fault: the final training goes on from checkpoints of another net, or never goes on at all."""
    plain = load_study(None, ["learning.preset="])
    assert net_of_rounds(plain) == plain.potential and goes_on(SimpleNamespace(study=plain))
    cheap = load_study(None, ["potential.valid_fraction=0.2"])
    net = net_of_rounds(cheap)
    assert (net.descriptor, net.neuron, net.checkpoint_steps) == ("se_e2_a", (16, 32, 64), 5000)
    assert net.valid_fraction == 0.2 and not goes_on(SimpleNamespace(study=cheap))
    assert goes_on(SimpleNamespace(study=load_study(None, ["potential.preset=fast", "potential.steps=9"])))
    with pytest.raises(InputError, match=r"learning\.preset = 'fist' is not known \(did you mean 'fast'"):
        load_study(None, ["learning.preset=fist"])
