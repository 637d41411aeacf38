"""Patterns of strangers end in time and in bounded memory, and hold no other thread up."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from itertools import repeat
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compute.conftest import Evaluator
from tests.rest import memory
from tests.support.limits import cpu_limit
from tileserver.compute.text.regex import Patience, Pattern
from tileserver.errors import InvalidRequest

KILLERS = [
    "a{1000000000}",
    "(a{1000000000})*",
    "((a{1000}){1000}){1000}",
    "((((a{99}){99}){99}){99}){99}",
    "(((((a?){30}){30}){30}){30}){30}",
    "(?:a{0,999999999}){0,999999999}",
    r"(\p{L}{1000}){1000}",
    r"\p{L}{1000}" * 80,
    "(?R)",
    "(?R)*",
    "a(?R)?b",
    "(?1)(a)",
    "(a|(?1)(?1))",
    "(?P<n>(?&n)x)",
    "(?<n>a(?P>n))",
    "(" * 500 + ")" * 500,
    "(?:" * 190 + "a" + ")*" * 190,
    "(" * 490 + "a" + ")" * 490 + "{500}",
    "()" * 490,
    "[" * 999,
    "(?i)" * 249,
    "a{1000}" * 140,
    "[^a]{1000}" * 95,
    "(?:x?){500}x{500}",
]
"""Each short; some made the engine before take all memory, or ended the process."""
MEMORY_MB = 400
PROCESS = f"""
import json, resource, sys, time
from tileserver.compute.text.regex import Patience, Pattern
from tileserver.errors import InvalidRequest

status = dict(line.split(":", 1) for line in open("/proc/self/status"))
room = int(status["VmSize"].split()[0]) * 1024 + {MEMORY_MB} * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (room, room))
for text in json.load(sys.stdin):
    began = time.process_time()
    try:
        pattern = Pattern(text)
        for subject in ("a" * 50, "ab" * 20_000, "x" * 100_000):
            pattern.fullmatch(subject), pattern.search(subject)
    except InvalidRequest as exc:
        pass
    assert time.process_time() - began < 20, text
assert Pattern("(a)b").search("ab") == ["ab", "a"]
print("alive")
"""


@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to limit memory")
def test_a_process_outlives_patterns_made_to_kill_it_within_little_memory() -> None:
    import json

    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        input=json.dumps(KILLERS),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr[-2000:]
    # Nothing of a pattern is written where logs are.
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
@pytest.mark.parametrize("text", KILLERS)
def test_a_pattern_takes_little_memory(text: str) -> None:
    memory.forget()
    before_mb = memory.now_mb()
    try:
        Pattern(text).search("ab" * 10_000)
    except InvalidRequest as exc:
        assert "is no regular expression" in str(exc) or "takes too long" in str(exc)  # noqa: PT017
    assert memory.most_mb() - before_mb < 60


def test_a_pattern_that_takes_long_lets_other_threads_run() -> None:
    # RE2 runs this one as an NFA: each of its 308 instructions at each character.
    pattern = Pattern("(a|b)*a[ab]{300}", patience=Patience(600))
    text = "ab" * 200_000
    took_s: list[float] = []

    def match() -> None:
        while sum(took_s) < 0.5:  # On a fast machine, more than one match.
            began_s = time.thread_time()
            assert pattern.search(text) is not None
            took_s.append(time.thread_time() - began_s)

    thread = threading.Thread(target=match)
    turns = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.002)
        turns += 1
    # CPU time, which others on the same cores do not add to; a held lock would allow one turn
    # before, after and between matches.
    assert 0.5 <= sum(took_s) < 15
    assert turns > 2 + 2 * len(took_s)


def test_a_match_that_could_not_be_interrupted_for_long_is_refused() -> None:
    for text, subject in (
        ("(a|b)*a(a|b){500}c", "ab" * 500_000),
        (r"\w+é[éa]{200}", "é" * 900_000),
    ):
        with pytest.raises(InvalidRequest, match="takes too long; expected a simpler one, or a sh"):
            Pattern(text).search(subject)


def test_matches_that_find_nothing_take_time_too() -> None:
    pattern = Pattern("(x|y)*z", patience=Patience(0.05))
    # Without end, as no machine is so fast that it does not come to an end of its time.
    subjects = repeat("xy" * 5000)
    with pytest.raises(InvalidRequest, match="takes too long"):
        assert not any(map(pattern.fullmatch, subjects))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a*b|a", "(a*)b|a", "a", "", "(a)(b)?"])
def test_many_matches_end_in_time_and_are_not_gathered_without_end(text: str) -> None:
    subject = "a" * 1_000_000
    pattern = Pattern(text)
    for find in (pattern.find_all, pattern.split, lambda s: pattern.replaced(s, str, True)):
        with cpu_limit(10):
            try:
                assert len(find(subject)) <= 10_000_000
            except InvalidRequest as exc:
                said = str(exc)
                assert "takes too long" in said or "at most 100000 are allowed" in said


ORDINARY = [
    "B.*",
    "B[1-4]",
    "B8A?",
    "^B",
    "B$",
    ".*_p[0-9]{2}",
    "(?i)b1",
    "[^_]+",
    "(\\w+)_(\\d+)",
    r"(?P<sensor>L[COTEM]0[4-9])_(?P<path>\d{3})(?P<row>\d{3})_(\d{8})",
    r"(\d{4})-(\d\d)-(\d\d)",
    r"\bNIR\b|\bSWIR[12]\b",
    "a|ab|abc",
    "(a|b)*?c",
    "x*",
    "x+?",
    "[a-c]{,2}",
    "[a-c]{2,}",
    "(?:ab)+",
    r"\.tif$",
    r"\s+",
    r"[\w.-]+",
    r"\u0042\x31",
    "[]x]",
    "é|ü",
    ".",
    "(?s).",
    "(?m)^.",
]
SUBJECTS = [
    "",
    "B1",
    "B8A",
    "b1 B1",
    "nd_p05",
    "LC08_044034_20200401",
    "2020-04-01T10:30:00",
    "NIR SWIR1 SWIR2 SWIR12",
    "abc abcabc ccc",
    "axxbxc",
    "scene.tif",
    "a\nb\n",
    "Grün é ü",
    "x]x",
]


def by_python(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII if text.isascii() else 0)


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_pattern_finds_what_python_finds(text: str) -> None:
    oracle, pattern = by_python(text), Pattern(text)
    for subject in SUBJECTS:
        if text.endswith("$") and subject.endswith("\n"):
            continue
        assert pattern.fullmatch(subject) == (oracle.fullmatch(subject) is not None)
        found = oracle.search(subject)
        expected = None if found is None else [found[0], *(g or "" for g in found.groups())]
        assert pattern.search(subject) == expected
        assert pattern.find_all(subject) == [match[0] for match in oracle.finditer(subject)]
        put = pattern.replaced(subject, lambda match: f"<{match[0]}>", True)
        assert put == oracle.sub(lambda match: f"<{match[0]}>", subject)


@st.composite
def patterns(draw: st.DrawFn, depth: int = 3) -> str:
    """Return a pattern of what all engines share; what is repeated is never empty.

    Of what matches nothing again and again, engines differ in what they call the last group.
    """
    if depth == 0:
        return draw(st.sampled_from(["a", "b", "c", "[ab]", "[^a]", ".", r"\w", r"\d", "é", "1"]))
    inner = patterns(depth=depth - 1)
    kind = draw(st.sampled_from(["one", "then", "or", "times", "group", "option"]))
    match kind:
        case "then":
            return draw(inner) + draw(inner)
        case "or":
            return f"(?:{draw(inner)}|{draw(inner)})"
        case "times":
            times = draw(st.sampled_from(["+", "+?", "{2}", "{1,3}", "{1,3}?"]))
            return f"(?:{draw(inner)}){times}"
        case "group":
            return f"({draw(inner)})"
    return draw(inner)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, database=None)
@given(
    text=patterns(),
    end=st.sampled_from(["", "?", "*", "*?"]),
    subject=st.text("abcé1 \n", max_size=12),
)
def test_any_pattern_that_all_engines_share_finds_the_same(
    text: str, end: str, subject: str
) -> None:
    text = f"{text}(?:b{end}|1)"
    oracle, pattern = re.compile(text, re.ASCII), Pattern(text)
    assert pattern.fullmatch(subject) == (oracle.fullmatch(subject) is not None)
    found = oracle.search(subject)
    expected = None if found is None else [found[0], *(g or "" for g in found.groups())]
    assert pattern.search(subject) == expected
    # After a match of nothing, RE2 goes on one character further, as Java does.
    if oracle.match("") is None:
        assert pattern.find_all(subject) == [match[0] for match in oracle.finditer(subject)]


PIECES = [
    *("(", ")", "[", "]", "{", "}", "*", "+", "?", "|", "^", "$", ".", "\\", "-", ",", "&&", ":"),
    *("a", "é", "1", "9", "{1000}", "{1,}", "{999999999}", "(?", "(?:", "(?=", "(?<", "(?P<n>"),
    *("(?R)", "\\p{", "\\p{L}", "\\Q", "\\E", "\\1", "\\u", "\\x{", "[[:alpha:]]", "[^", "\\b"),
    *("(?i)", "\ud800", "\x00", "\n", "𝔘"),
]


@pytest.mark.slow
@settings(max_examples=500, deadline=None, database=None)
@given(
    text=st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    subject=st.text(max_size=200).filter(lambda s: s.isascii() or "\ud800" not in s),
)
def test_whatever_is_given_as_a_pattern_is_matched_or_refused(text: str, subject: str) -> None:
    with cpu_limit(10):
        try:
            pattern = Pattern(text)
            pattern.fullmatch(subject)
            assert len(pattern.find_all(subject)) <= len(subject) + 1
        except InvalidRequest as exc:
            assert str(exc).isprintable()  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a(?=b)", "look-ahead, (?=…), is not supported"),
        ("a(?!b)", "look-ahead, (?!…), is not supported"),
        ("(?<=a)b", "look-behind, (?<=…), is not supported"),
        ("(?<!a)b", "look-behind, (?<!…), is not supported"),
        (r"(a)\1", r"back-references such as \1 are not supported"),
        (r"(?<n>a)\k<n>", r"back-references such as \k<name> are not supported"),
        ("(?>a|ab)c", "an atomic group, (?>…), is not supported"),
        ("a++b", "a repetition of a repetition, as in the possessive a++, is not supported"),
        ("(?R)", "recursion, (?R), is not supported"),
        ("[a-z&&[^b]]", "intersections of classes, &&, are not supported"),
        ("[a-d[m-p]]", r"a class within a class is not supported; a bracket is \["),
        ("(?x) a b", "of flags there are i, m and s, got (?x)"),
        ("(?U)é", "of flags there are i, m and s, got (?U)"),
        ("a{1001}", "a part may be repeated 1000 times at most"),
        ("a{1000000000}", "a part may be repeated 1000 times at most"),
        (r"\C", r"\C, half a character, is unknown"),
        (r"\p{Klingon}", r"invalid character class range: \\p{Klingon}"),
        ("(", "missing ): ("),
        ("()" * 101, "it has 101 groups, at most 100 are allowed"),
    ],
)
def test_what_is_not_supported_is_named(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"is no regular expression: {reason}.")):
        Pattern(text)


@pytest.mark.parametrize(
    ("text", "subject", "expected"),
    [
        (r"(?<year>\d{4})", "in 2020", ["2020", "2020"]),
        (r"\p{Alpha}+", "1aé", ["a"]),
        (r"[\p{Upper}\d]+", "aB1é", ["B1"]),
        (r"\P{Digit}+", "12ab3", ["ab"]),
        (r"\p{L}+", "1aé", ["aé"]),
        (r"\p{IsGreek}", "aβ", ["β"]),
        (r"a\hb", "a\u00a0b", ["a\u00a0b"]),
        (r"[\hx]+", "ax\t b", ["x\t "]),
        (r"\Qa.b\E+", "a.bb", ["a.bb"]),
        (r"\Q(", "a(", ["("]),
        (r"a\R", "a\r\n", ["a\r\n"]),
        (r"\cA\e", "\x01\x1b", ["\x01\x1b"]),
        (r"ab\Z", "ab", ["ab"]),
        (r"[\[a]+", "x[a]", ["[a"]),
        ("a{0}b", "ab", ["b"]),
    ],
)
def test_what_java_spells_in_its_own_way_is_understood(
    text: str, subject: str, expected: list[str]
) -> None:
    assert Pattern(text).search(subject) == expected


def test_bands_are_chosen_by_a_pattern_that_ends(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(1).rename("a" * 200)
    told = r"did not match any bands|takes too long"
    with cpu_limit(5), pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(image.select("(a|a)*b"))
    assert evaluator.value(image.select("(a|b)+").bandNames()) == ["a" * 200]


@pytest.mark.parametrize("killer", KILLERS[:12])
def test_a_pattern_is_bounded_wherever_an_expression_may_have_one(
    ee: ModuleType, evaluator: Evaluator, killer: str
) -> None:
    text = ee.String("b" * 100)
    feature = ee.Feature(None, {"a" * 50: 1})
    dictionary = ee.Dictionary({"a" * 50: 1})
    for built in (
        text.match(killer),
        text.replace(killer, "x", "g"),
        text.split(killer),
        ee.Image(1).rename("b" * 100).select(killer).bandNames(),
        feature.select([killer]).propertyNames(),
        dictionary.select([killer]),
        dictionary.remove([killer]),
    ):
        try:
            evaluator.value(built)
        except InvalidRequest as exc:
            assert any(  # noqa: PT017
                each in str(exc) for each in ("no regular expression", "did not match", "does not")
            )
