"""What the model families take: the laws of names, defaults and completion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.families import FAMILIES, TRAINING, Setting, complete, find_setting, layer_of, layer_values, setting_names

MODELS = st.sampled_from(list(FAMILIES))


def everything(model: str) -> dict[str, Setting]:
    return {**FAMILIES[model].settings, **TRAINING}


@pytest.mark.parametrize("model", FAMILIES)
def test_every_default_is_admitted(model: str) -> None:
    assert [name for name, setting in everything(model).items() if not setting.admits(setting.default)] == []


@pytest.mark.parametrize("model", FAMILIES)
def test_every_name_finds_its_setting_and_no_other_does(model: str) -> None:
    names = list(setting_names(model))
    assert len(set(names)) == len(names)
    assert all(find_setting(model, name) is not None for name in names)
    assert set(everything(model)) <= set(names)
    for name in ("", "unitss", "units_0", "units_", "units_100", "units_1_2", "channels_01", "activation_1", "_1"):
        assert find_setting(model, name) is None


@pytest.mark.parametrize("model", FAMILIES)
def test_families_and_training_share_no_name(model: str) -> None:
    assert set(FAMILIES[model].settings) & set(TRAINING) == set()


@pytest.mark.parametrize("model", FAMILIES)
def test_layers_are_counted_by_a_whole_number(model: str) -> None:
    family = FAMILIES[model]
    for base, count in family.per_layer.items():
        assert family.settings[count].kind == "int"
        assert layer_of(model, f"{base}_12") == (count, 12)
        assert find_setting(model, f"{base}_12") is family.settings[base]
        assert layer_of(model, base) is None
    assert layer_of(model, "dropout_1") is None


@given(st.sampled_from([name for name, family in FAMILIES.items() if family.per_layer]), st.data())
def test_complete_keeps_what_is_given_and_adds_the_defaults(model: str, data: st.DataObject) -> None:
    family = FAMILIES[model]
    if not family.per_layer:
        assert complete(model, {"dropout": 0.25}) == {name: setting.default for name, setting in everything(model).items()} | {
            "dropout": 0.25
        }
        return
    (base, count), *_ = family.per_layer.items()
    layers = data.draw(st.integers(0, 5))
    widths = data.draw(st.dictionaries(st.integers(1, 5), st.integers(1, 99)))
    given_values = {count: layers, "dropout": 0.25, base: 17, **{f"{base}_{layer}": width for layer, width in widths.items()}}
    completed = complete(model, given_values)
    assert completed["dropout"] == 0.25
    assert base not in completed
    assert layer_values(completed, base, layers) == [widths.get(layer, 17) for layer in range(1, layers + 1)]
    rest = {name: setting.default for name, setting in everything(model).items() if name not in (base, count, "dropout")}
    assert {name: completed[name] for name in rest} == rest
    assert set(completed) == {*rest, count, "dropout", *(f"{base}_{layer}" for layer in range(1, layers + 1))}


@given(MODELS)
def test_complete_is_idempotent(model: str) -> None:
    assert complete(model, complete(model, {})) == complete(model, {})


@pytest.mark.parametrize(
    ("setting", "domain", "inside", "outside"),
    [
        (Setting("x", "bool", True, ""), "true or false", [True, False], [1, 0, "true", None]),
        (Setting("x", "categorical", "a", "", choices=("a", "b")), "one of a, b", ["a", "b"], ["c", 1, None, True]),
        (Setting("x", "int", 1, "", low=1), "a whole number of at least 1", [1, 10**9], [0, 1.0, True, "1", None]),
        (Setting("x", "int", 1, "", low=0, high=4), "a whole number of at least 0 and at most 4", [0, 4], [-1, 5]),
        (
            Setting("x", "float", 0.5, "", low=0, high=1, high_open=True),
            "a number of at least 0 and below 1",
            [0, 0.5],
            [1, -0.1, float("nan")],
        ),
        (Setting("x", "float", 0.5, "", low=0, low_open=True), "a number above 0", [1e-9, 5], [0, 0.0, -1, True, "1"]),
    ],
)
def test_domains(setting: Setting, domain: str, inside: list[object], outside: list[object]) -> None:
    assert setting.domain == domain
    assert [value for value in inside if not setting.admits(value)] == []  # type: ignore[arg-type]
    assert [value for value in outside if setting.admits(value)] == []  # type: ignore[arg-type]
