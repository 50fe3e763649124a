from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking.stories import HEADER, summary, trial

from automl.tracking.content import LONGEST_TAG
from automl.tracking.notes import Links, experiment_note, study_note, trial_note

NUMERIC = replace(HEADER, numeric=("layers", "units", "learning_rate", "dropout"))


def test_the_note_says_who_won_by_how_much_what_mattered_and_how_to_train_it_again() -> None:
    best, base = trial(7), replace(trial(0), origin="baseline", objective=0.55)
    told = replace(
        summary(best, base),
        asked=4,
        counts={"complete": 2, "pruned": 1, "out_of_memory": 1},
        gain_text="Validation accuracy 0.607 against 0.55 of the baseline: 0.057 more, on one seed each.",
        test_metrics={"accuracy": 0.59},
        test_split="test",
        epochs=(9, 40),
        failures=(replace(trial(3, "out_of_memory"), reason="Traceback\n  CUDA out of memory: `cat`\n"),),
        importances=(("units", 0.7, True), ("dropout", 0.3, False)),
        again="automl run x/study.yaml --study x-again",
    )
    assert study_note(NUMERIC, told, Links({7: "#/x/7", 3: "#/x/3"}, {"Study page": "#/page", "Trials": "#/view"})) == (
        "**Trial [7](#/x/7) won: accuracy 0.607** in epoch 10, of 4 trials. "
        "Validation accuracy 0.607 against 0.55 of the baseline: 0.057 more, on one seed each.\n\n"
        "[Study page](#/page) · [Trials](#/view)\n\n"
        "On the test split, measured once: accuracy 0.59.\n\n"
        "### The best trials\n\n"
        "| trial | accuracy | epoch | layers | units | optimizer | learning_rate | dropout |\n"
        "| ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |\n"
        "| [7](#/x/7) | 0.607 | 10 | 2 | 71 | sgd | 0.008 | 0.1 |\n"
        "| 0 baseline | 0.55 | 10 | 2 | 64 | sgd | 0.001 | 0.1 |\n\n"
        "### What mattered\n\n"
        "Share of each parameter in what sets the best trials apart (PED-ANOVA): units 70%, dropout 30% (may be chance).\n\n"
        "### Pruned and failed\n\n"
        "Trials: 2 complete, 1 out of memory, 1 pruned. Pruning saved 9 of 40 epochs. Failed:\n\n"
        "- [3](#/x/3): out of memory after 10 epochs: `CUDA out of memory: 'cat'`\n\n"
        "### Train the winner again\n\n"
        "```sh\nautoml run x/study.yaml --study x-again\n```"
    )


def test_the_note_says_what_may_be_wrong_with_the_data() -> None:
    note = study_note(replace(HEADER, data_warnings=("Leak? a", "Id? b")), summary(trial(7)), Links())
    assert "### What may be wrong with the data\n\n- Leak? a\n- Id? b\n\n### The best trials" in note


def test_the_note_of_a_study_without_complete_trials_says_so() -> None:
    assert study_note(HEADER, replace(summary(), counts={"failed": 3, "waiting": 1}), Links()) == (
        "**No trial is complete yet** (accuracy, 3 of 50 trials).\n\n### Pruned and failed\n\nTrials: 3 failed, 1 waiting."
    )


def test_a_study_that_was_interrupted_has_a_leader_and_no_winner() -> None:
    note = study_note(HEADER, replace(summary(trial(7), why="interrupted"), counts={"complete": 1}), Links())
    assert note.startswith("**Trial 7 leads: accuracy 0.607** in epoch 10, of 1 of 50 trials.")


def test_values_do_not_break_the_table() -> None:
    odd = replace(trial(1), configuration={"optimizer": "a|b\nc"})
    assert "| 1 | 0.601 | 10 | a\\|b c |\n" in study_note(HEADER, summary(odd), Links())


@given(st.text(max_size=4_000), st.integers(0, 10), st.integers(1, 300))
def test_a_note_is_never_longer_than_a_tag_may_be_and_drops_rows_before_it_is_cut(words: str, count: int, link: int) -> None:
    top = [replace(trial(number), configuration={"optimizer": words}) for number in range(count)]
    note = study_note(HEADER, summary(*top), Links(dict.fromkeys(range(count), "#" * link)))
    assert len(note) <= LONGEST_TAG
    assert "### Pruned and failed" in note


def test_the_note_of_a_failed_trial_says_why_and_leads_to_its_log() -> None:
    tags = {"automl.trial": "17", "automl.state": "out_of_memory", "automl.reason": "Traceback\n```\nno\n"}
    assert trial_note(tags, "#/log") == "**Trial 17: out of memory.**\n\n```\nTraceback\n'''\nno\n```\n\n[Its log](#/log)"
    assert trial_note({"automl.trial": "17"}, "") == "**Trial 17: failed.**"


@pytest.mark.parametrize("places", [{}, {"Trials": "#/1"}])
def test_the_note_of_an_experiment_leads_to_its_views(places: dict[str, str]) -> None:
    assert experiment_note(places).endswith("[Trials](#/1)" if places else "each trial. ")
