"""Protocols: the built-in ones, and messages that name the key of each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.errors import ProtocolError, UnknownNameError
from bench.protocol import (
    FOLDER,
    Augment,
    EarlyStopping,
    Unfreeze,
    load_protocol,
    parse_protocol,
    protocol_names,
)

PHASE = {"name": "head", "epochs": 2, "learning_rate": 0.1}


def test_shipped_protocols_load_and_default_comes_first() -> None:
    names = protocol_names()
    assert names[0] == "default"
    assert set(names) == {
        "default",
        "two-step",
        "rmsprop",
        "softmax",
        "dense-augmented",
        "flip-rotate",
    }


def test_digests_do_not_change() -> None:
    """Digests are in records and part of a trial's key: a change would orphan both."""
    assert {name: load_protocol(name).digest for name in protocol_names()} == {
        "default": "580210a9270a7ffc",
        "dense-augmented": "9562700dd656b7a9",
        "flip-rotate": "424f7aadccd8661f",
        "rmsprop": "fc38d35e234e1eea",
        "softmax": "e55f84c26298a0b9",
        "two-step": "2be0ce4d054c460a",
    }


def test_historical_facts() -> None:
    two_step = load_protocol("two-step")
    assert [(p.epochs, p.learning_rate, p.unfreeze.kind) for p in two_step.phases] == [
        (10, 1e-4, "none"),
        (10, 1e-5, "all"),
    ]
    rmsprop = load_protocol("rmsprop")
    assert rmsprop.input_size == 128
    assert [(p.optimizer, p.learning_rate, p.epochs) for p in rmsprop.phases] == [
        ("rmsprop", 1e-4, 8),
        ("rmsprop", 1e-4, 5),
    ]
    assert rmsprop.phases[1].unfreeze == Unfreeze("from_layer", 100)
    dense = load_protocol("dense-augmented")
    assert (dense.input_size, dense.head.hidden, dense.head.dropout) == (224, (256,), 0.5)
    assert dense.phases[0].augment == Augment(True, 40, 0.2, 0.2, 0.2)
    assert load_protocol("softmax").head.output == "softmax"


def test_a_protocol_is_read() -> None:
    raw = {
        "summary": "s",
        "head": {"hidden": [8, 4], "dropout": 0.5},
        "phases": [
            PHASE
            | {
                "unfreeze": {"stages": 2},
                "augment": {"rotation": 10, "views": 3},
                "early_stopping": {"patience": 4},
            }
        ],
    }
    protocol = parse_protocol(raw, "mine")
    phase = protocol.phases[0]
    assert protocol.head.hidden == (8, 4)
    assert str(phase.unfreeze) == "last 2 stages"
    assert phase.augment.continuous
    assert phase.early_stopping == EarlyStopping("val_loss", 4)
    renamed = parse_protocol(raw | {"summary": "other"}, "theirs")
    assert renamed.digest == protocol.digest
    assert parse_protocol(raw | {"batch_size": 8}, "mine").digest != protocol.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, r"phases\[1\].epochs must be a whole number from 1"),
        ({"epochs": True}, r"phases\[1\].epochs .* got True"),
        ({"learning_rate": "fast"}, r"phases\[1\].learning_rate must be a number .* got 'fast'"),
        ({"learning_rate": float("nan")}, r"phases\[1\].learning_rate"),
        ({"optimizer": "adamm"}, r"phases\[1\].optimizer must be one of 'adam'.* got 'adamm'"),
        ({"epoch": 3}, r"unknown key 'epoch'. Did you mean 'epochs'\?"),
        ({"unfreeze": "some"}, r"phases\[1\].unfreeze must be 'none'.* got 'some'"),
        ({"unfreeze": {"stages": 0}}, r"phases\[1\].unfreeze.stages"),
        ({"augment": {"rotation": 400}}, r"phases\[1\].augment.rotation"),
        ({"augment": {"flip": True, "views": 2}}, r"phases\[1\].augment.views is for rotation"),
        ({"early_stopping": {"patience": 0}}, r"early_stopping.patience"),
    ],
)
def test_mistakes_name_their_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        parse_protocol({"phases": [PHASE | change]}, "mine")


def test_missing_keys_and_tables() -> None:
    with pytest.raises(ProtocolError, match=r"phases\[1\].epochs is missing"):
        parse_protocol({"phases": [{"learning_rate": 0.1}]}, "mine")
    with pytest.raises(ProtocolError, match="phases must be one or more"):
        parse_protocol({}, "mine")
    with pytest.raises(ProtocolError, match="different names"):
        parse_protocol({"phases": [PHASE, PHASE]}, "mine")


def test_all_mistakes_are_reported_at_once_unknown_keys_first() -> None:
    phase = {"name": "head", "epoch": 3, "learning_rate": "fast", "augment": {"flipp": True}}
    with pytest.raises(ProtocolError) as error:
        parse_protocol({"phases": [phase], "batch_size": 0, "sumary": "s"}, "mine")
    found = [line.strip().removeprefix("protocol mine") for line in str(error.value).splitlines()]
    starts = (
        " has 6 mistakes:",
        ".phases[1].augment: unknown key 'flipp'. Did you mean 'flip'?",
        ".phases[1]: unknown key 'epoch'. Did you mean 'epochs'?",
        ": unknown key 'sumary'. Did you mean 'summary'?",
        ".phases[1].epochs is missing",
        ".phases[1].learning_rate must be a number from 1e-12 to 100, got 'fast'.",
        ".batch_size must be a whole number from 1 to 65536, got 0.",
    )
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


def test_a_missing_table_does_not_hide_other_mistakes() -> None:
    with pytest.raises(ProtocolError, match=r"(?s)unknown key 'phase'.*phases must be one or more"):
        parse_protocol({"phase": [PHASE]}, "mine")
    with pytest.raises(ProtocolError, match=r"(?s)head must be a table, got 3.*phases must be one"):
        parse_protocol({"head": 3, "phases": [3]}, "mine")


def test_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'softmax'"):
        load_protocol("sofmax")
    with pytest.raises(ProtocolError, match=r"none.toml cannot be read"):
        load_protocol(str(tmp_path / "none.toml"))
    bad = tmp_path / "bad.toml"
    for text in ("epochs = = 3", "a = " + "[" * 100_000):
        bad.write_text(text)
        with pytest.raises(ProtocolError, match="not valid TOML"):
            load_protocol(str(bad))


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    text = (FOLDER / "default.toml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(text, encoding="utf-8-sig")
    assert load_protocol(str(mine)).digest == load_protocol("default").digest
