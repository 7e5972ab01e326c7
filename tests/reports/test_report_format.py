"""The formatting of figures and names, in any report."""

from __future__ import annotations

import pytest

from bench.analysis import escape
from bench.analysis import format as fmt


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (8.26, "8.3 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min"),
        (83, "1 min 23 s"),
        (119.6, "2 min"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7512, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.3, "8 s"),
        (59.4, "59 s"),
        (59.7, "1 min"),
        (320, "5 min 20 s"),
        (599.7, "10 min"),
        (1075, "18 min"),
        (3580, "1 h"),
        (7512, "2 h 5 min"),
    ],
)
def test_estimated_durations(seconds: float, text: str) -> None:
    assert fmt.estimate(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (1.234, "1.23"),
        (9.996, "10.0"),
        (14.26, "14.3"),
        (134.6, "135"),
        (999.7, "1,000"),
        (12345.6, "12,346"),
        (0, "0"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert fmt.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(42, "42"), (1281, "1.28 k"), (999_499, "999 k"), (999_600, "1.00 M"), (23_589_761, "23.6 M")],
)
def test_counts(value: float, text: str) -> None:
    assert fmt.count(value) == text


def test_shares() -> None:
    assert fmt.percent(0.97333) == "97.33%"
    assert fmt.interval(0.9399, 1.0) == "94.0–100.0%"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("_private_", r"\_private\_"),
        ("a|b", r"a\|b"),
        ("a\\", r"a\\"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("AT&T", "AT&amp;T"),
        ("line\r\nbreak", "line  break"),
        ("`code` *b* [l](u) ![i](u) $m$", r"\`code\` \*b\* \[l\](u) \!\[i\](u) \$m\$"),
        ("\x1b[31mred\x1b[0m", "\N{REPLACEMENT CHARACTER}\\[31mred\N{REPLACEMENT CHARACTER}\\[0m"),
        ("\u202edrowssap", "\N{REPLACEMENT CHARACTER}drowssap"),
    ],
)
def test_markdown_shows_a_name_as_it_is(name: str, safe: str) -> None:
    assert escape.markdown(name) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("ask @torvalds", "ask @&#8203;torvalds"),
        ("me@example.org", "me@&#8203;example.org"),
        ("https://example.org HTTP://x", "https:&#8203;//example.org HTTP:&#8203;//x"),
        ("www.example.org", "www&#8203;.example.org"),
        ("owner/repo#12", "owner/repo\\#&#8203;12"),
        ("GH-12", "GH&#8203;-12"),
        ("a @ b: 3 # 4 / 5", "a @ b: 3 \\# 4 / 5"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_a_comment_contains_no_mention_and_no_link(name: str, safe: str) -> None:
    assert escape.comment(name) == safe


@pytest.mark.parametrize("start", [*"=+-@＝", " =", "\t=", "\n+"])
def test_no_csv_cell_starts_a_formula(start: str) -> None:
    assert escape.csv_cell(f"{start}cmd()").startswith("'")


def test_csv_leaves_plain_names_alone() -> None:
    assert escape.csv_cell("cats, and dogs") == "cats, and dogs"


def test_latex_gets_no_character_that_it_cannot_typeset() -> None:
    assert escape.latin("café 猫 ± 😀") == "café [U+732B] ± [U+1F600]"


def test_names_are_shortened_in_the_middle() -> None:
    assert escape.shorten("abcdefghij", 10) == "abcdefghij"
    assert escape.shorten("abcdefghijk", 5) == "ab…jk"


def test_file_names_are_safe_and_differ() -> None:
    names = ["resnet50", "ResNet50", "../../etc", "..", "", "x" * 300, "猫", "犬"]
    found = escape.file_names(names)
    assert found["resnet50"] == "resnet50"
    assert len(set(found.values())) == len(names)
    assert all(len(name) <= 64 and not set(name) & set("/\\: ") for name in found.values())
    assert all(name.strip(".") for name in found.values())


@pytest.mark.parametrize(("numbers", "text"), [([3], "seed 3"), ([2, 0, 2], "seeds 0, 2")])
def test_seeds(numbers: list[int], text: str) -> None:
    assert fmt.seeds(numbers) == text


def test_splits_are_in_their_order_whatever_a_file_s_is() -> None:
    images = {"test": 60, "train": 1200, "validation": 6}
    assert fmt.split_counts(images) == "1,200 train / 6 validation / 60 test"  # type: ignore[arg-type]
