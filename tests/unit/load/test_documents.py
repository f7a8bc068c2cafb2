"""Texts to plain values and places: YAML as Kubernetes reads it, JSON, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml

from meshroute.diagnostics import Code, Diagnostic
from meshroute.load import yaml_text
from meshroute.load.documents import decode_bytes, read_documents
from meshroute.load.places import LIMITS, Document, Problems, Shared
from meshroute.load.scalars import resolve


def read(text: str, file: str = "f.yaml") -> tuple[list[Document], Problems]:
    problems = Problems()
    return list(read_documents(text, file, problems, Shared())), problems


def values(text: str, file: str = "f.yaml") -> list[Any]:
    found, problems = read(text, file)
    assert problems == []
    return [document.value for document in found]


def only(text: str, file: str = "f.yaml") -> Diagnostic:
    _, problems = read(text, file)
    assert len(problems) == 1, problems
    return problems[0]


def place(diagnostic: Diagnostic) -> tuple[int, int]:
    return diagnostic.at.line, diagnostic.at.column


class TestScalars:
    """Unquoted scalars mean what go-yaml 2 makes of them."""

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("", None),
            ("~", None),
            ("null", None),
            ("Null", None),
            ("nULL", "nULL"),
            ("true", True),
            ("True", True),
            ("tRUE", "tRUE"),
            ("yes", True),
            ("on", True),
            ("y", True),
            ("no", False),
            ("Off", False),
            ("N", False),
            ("0", 0),
            ("-0", 0),
            ("+7", 7),
            ("007", 7),
            ("012", 10),
            ("0o17", 15),
            ("08", 8.0),
            ("0x1F", 31),
            ("-0x1f", -31),
            ("0b101", 5),
            ("1_000", 1000),
            ("1e3", 1000.0),
            ("1.10", 1.1),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            (".", "."),
            ("-", "-"),
            ("1.2.3", "1.2.3"),
            ("1e", "1e"),
            ("18446744073709551615", 2**64 - 1),
            ("18446744073709551616", 2.0**64),
            ("-9223372036854775808", -(2**63)),
            ("-9223372036854775809", -(2.0**63)),
            ("0xFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFF"),
            ("1e999", "1e999"),
            ("9" * 5000, "9" * 5000),
            (".inf", math.inf),
            ("-.INF", -math.inf),
            ("2024-01-01", "2024-01-01"),
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("1:30", "1:30"),
            ("190:20:30", "190:20:30"),
            ("v1", "v1"),
            ("٣", "٣"),
            ("=", "="),
        ],
    )
    def test_resolved(self, text: str, meant: object) -> None:
        found = resolve(text)
        assert found == meant
        assert type(found) is type(meant)

    def test_not_a_number(self) -> None:
        assert math.isnan(resolve(".nan"))

    @pytest.mark.parametrize("text", ['"1"', "'1'", "!!str 1", "! 1", "|-\n  1", ">-\n  1"])
    def test_quotes_and_blocks_are_text(self, text: str) -> None:
        assert values(f"a: {text}\n") == [{"a": "1"}]

    def test_what_was_written_is_kept_where_it_would_be_lost(self) -> None:
        (document,), _ = read("a: 1.10\nb: 1\nc: yes\nd: [0x10, ~]\n")
        assert [document.text((key,), document.value[key]) for key in "abc"] == ["1.10", "1", "yes"]
        assert document.text(("d", 0), 16) == "0x10"
        assert document.text(("d", 1), None) == "~"

    @pytest.mark.parametrize(
        ("text", "value"), [("!!int 7", 7), ("!!float 7", 7.0), ("!!bool yes", True), ("!!null ~", None)]
    )
    def test_core_tags_agree_with_the_value(self, text: str, value: object) -> None:
        assert values(f"a: {text}\n") == [{"a": value}]

    def test_core_tags_that_disagree(self) -> None:
        problem = only("a: 1\nb: !!int x\n")
        assert (problem.code, problem.message, place(problem)) == (Code.TEXT_INVALID, "`x` is no `!!int`", (2, 4))


class TestYaml:
    """Structure."""

    def test_several_documents_and_empty_ones(self) -> None:
        assert values("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n") == [None, {"a": 1}, None, {"b": 2}]

    @pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff"])
    def test_no_documents(self, text: str) -> None:
        assert values(text) == []

    def test_a_byte_order_mark_moves_nothing(self) -> None:
        (document,), problems = read("\ufeffa: 1\n")
        assert (document.value, document.at(("a",)).column, problems) == ({"a": 1}, 1, [])

    def test_merge_keys(self) -> None:
        text = "u: &u {a: 1, b: 2}\nv: &v {b: 3, c: 3}\none: {<<: *u, a: 9}\nboth: {<<: [*u, *v], d: 4}\n"
        (value,) = values(text)
        assert value["one"] == {"a": 9, "b": 2}
        assert value["both"] == {"a": 1, "b": 2, "c": 3, "d": 4}

    def test_a_quoted_merge_key_is_a_key(self) -> None:
        assert values('{"<<": {a: 1}, b: 2}') == [{"<<": {"a": 1}, "b": 2}]

    def test_merging_what_is_no_mapping(self) -> None:
        problem = only("a: 1\nb: {<<: 3}\n")
        assert (problem.code, place(problem)) == (Code.TEXT_INVALID, (2, 9))

    def test_aliases(self) -> None:
        assert values("a: &a [1, {b: 2}]\nc: *a\nd: &k key\n*k : 5\n") == [
            {"a": [1, {"b": 2}], "c": [1, {"b": 2}], "d": "key", "key": 5}
        ]

    def test_anchors_on_keys(self) -> None:
        assert values("&k key: 1\nother: *k\n") == [{"key": 1, "other": "key"}]

    def test_an_alias_without_anchor(self) -> None:
        problem = only("a: *b\n")
        assert (problem.code, place(problem)) == (Code.TEXT_INVALID, (1, 4))

    def test_anchors_end_with_their_document(self) -> None:
        problem = only("a: &a 1\n---\nb: *a\n")
        assert (problem.code, place(problem)) == (Code.TEXT_INVALID, (3, 4))

    def test_duplicate_keys(self) -> None:
        found, (problem,) = read("a:\n- b: 1\n  c: 2\n  b: 3\n")
        assert problem.code is Code.KEY_DUPLICATE
        assert str(problem.at) == "f.yaml:4:3 a[0].b"
        assert [str(one) for one in problem.related] == ["f.yaml:2:3 a[0].b"]
        assert found[0].value == {"a": [{"b": 1, "c": 2}]}
        assert not found[0].sound

    @pytest.mark.parametrize("text", ["b: 0\na: 1\na: 2\na: 3\n", '{"b": 0,\n"a": 1,\n"a": 2,\n"a": 3}'])
    def test_every_duplicate_is_related_to_the_first(self, text: str) -> None:
        _, problems = read(text)
        assert [one.at.line for one in problems] == [3, 4]
        assert [one.related[0].line for one in problems] == [2, 2]

    def test_duplicate_keys_behind_containers(self) -> None:
        _, (problem,) = read("a: {x: {z: [1, 2]}}\nb: [[], {}]\nc: 0\nb: {k: 1}\nd: 1\n")
        assert (place(problem), str(problem.related[0])) == ((4, 1), "f.yaml:2:1 b")

    @pytest.mark.parametrize(("key", "kind"), [("1", "integer"), ("true", "boolean"), ("1.5", "number"), ("~", "null")])
    def test_keys_that_are_no_text(self, key: str, kind: str) -> None:
        problem = only(f"a:\n  {key}: x\n")
        assert problem.code is Code.FIELD_TYPE
        assert problem.message == f"a key must be of type string: `{key}` is of type {kind}"
        assert problem.help == f'write `"{key}":`'
        assert str(problem.at) == "f.yaml:2:3 a"

    @pytest.mark.parametrize("text", ["? [a]\n: b\n", "{{a: 1}: 2}", "a: &a [1]\n*a : 1\n"])
    def test_keys_that_are_no_scalars(self, text: str) -> None:
        assert only(text).code is Code.TEXT_INVALID

    def test_a_refused_document_does_not_hide_the_others(self) -> None:
        found, problems = read("a: !x 1\n---\nb: *z\n---\nc: 3\n---\nd: !!python/none 0\n---\ne: 5\n")
        assert [document.value for document in found] == [{"c": 3}, {"e": 5}]
        assert [place(one) for one in problems] == [(1, 4), (3, 4), (7, 4)]

    def test_a_syntax_error_ends_the_text_and_says_so(self) -> None:
        found, (problem,) = read("a: 1\n---\nb: [1\n---\nc: 3\n")
        assert [document.value for document in found] == [{"a": 1}]
        assert problem.code is Code.TEXT_INVALID
        assert problem.message.startswith("not valid YAML: ")
        assert problem.help == "nothing after this place was read"
        assert problem.at.line == 4

    def test_tabs(self) -> None:
        problem = only("a:\n\tb: 1\n")
        assert place(problem) == (2, 1)
        assert problem.help.startswith("indent with spaces")


class TestPlaces:
    """A field is where its key is, an item where it starts, anything else where its parent is."""

    TEXT = """\
kind: A
spec:
  rules:
  - name: one
    match: [{uri: x}, {uri: y}]
  -
    name: two
  empty: {}
"""

    @pytest.mark.parametrize(
        ("path", "line", "column"),
        [
            ((), 1, 1),
            (("kind",), 1, 1),
            (("spec",), 2, 1),
            (("spec", "rules"), 3, 3),
            (("spec", "rules", 0), 4, 5),
            (("spec", "rules", 0, "name"), 4, 5),
            (("spec", "rules", 0, "match", 1), 5, 23),
            (("spec", "rules", 0, "match", 1, "uri"), 5, 24),
            (("spec", "rules", 1), 7, 5),
            (("spec", "rules", 1, "name"), 7, 5),
            (("spec", "empty"), 8, 3),
            (("spec", "rules", 2), 3, 3),
            (("spec", "rules", 0, "nothing", "there", 4), 4, 5),
            (("spec", "rules", "name"), 3, 3),
            (("spec", 0), 2, 1),
            (("kind", "x"), 1, 1),
        ],
    )
    @pytest.mark.parametrize("before", ["", "# comment\n\n---\n"])
    def test_found(self, path: tuple[str | int, ...], line: int, column: int, before: str) -> None:
        (document,), _ = read(before + self.TEXT)
        at = document.at(path)
        assert (at.file, at.line - before.count("\n"), at.column) == ("f.yaml", line, column)

    def test_documents_written_alike_share_their_places(self) -> None:
        found, _ = read("a: 1\nb: [x]\n---\na: 2\nb: [yy]\n---\na: 2\nc: [yy]\n")
        assert found[0].places is found[1].places
        assert found[0].places is not found[2].places
        assert [document.at(("b",)).line for document in found[:2]] == [2, 5]


class TestJson:
    """JSON, which is not quite YAML."""

    def test_the_same_as_python_reads(self) -> None:
        text = '{"a":1,"b":[true,false,null,-1.5e2,"\\ud83d\\ude00\\/\\u007f"],\n\t"c":{},"d":[],"e":{"f":[[]]}}'
        assert values(text) == [json.loads(text)]

    def test_several_in_a_row(self) -> None:
        assert values('{"a":1}{"b":2}\n---\n[3]\n') == [{"a": 1}, {"b": 2}, [3]]

    def test_places(self) -> None:
        text = '\n {"a": {"b": [10,\r\n  20, {"c": null}]},\r "d": 1}'
        (document,), _ = read(text)
        places = {
            path: document.at(path) for path in ((), ("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 2, "c"), ("d",))
        }
        assert [(at.line, at.column) for at in places.values()] == [(2, 2), (2, 3), (2, 9), (3, 3), (3, 8), (4, 2)]

    def test_duplicate_keys(self) -> None:
        found, (problem,) = read('{"a": [{"b": 1,\n "b": 2}]}', "f.json")
        assert (problem.code, str(problem.at)) == (Code.KEY_DUPLICATE, "f.json:2:2 a[0].b")
        assert str(problem.related[0]) == "f.json:1:9 a[0].b"
        assert found[0].value == {"a": [{"b": 1}]}

    def test_flow_yaml_is_yaml(self) -> None:
        assert values("{a: yes, b: [012,]}") == [{"a": True, "b": [10]}]

    @pytest.mark.parametrize(
        ("text", "line", "column", "message"),
        [
            ('{"a": 1,}', 1, 8, "nothing follows this `,`"),
            ('{"a": 1\n "b": 2}', 2, 2, "`,` or the end of what is open belongs here"),
            ('{"a" 1}', 1, 6, "`:` belongs here"),
            ("{a: 1}", 1, 2, "a key in double quotes belongs here"),
            ('{"a": tru}', 1, 7, "a value belongs here"),
            ('{"a": 01}', 1, 8, "`,` or the end of what is open belongs here"),
            ('["a', 1, 2, "a string that does not end here"),
            ('{"a": "\\ud800"}', 1, 7, "half of a surrogate pair"),
            ('{"a": 1e999}', 1, 7, "`1e999` is too large"),
            ("[1]]", 1, 4, "a value belongs here"),
            ("[1}", 1, 3, "`,` or the end of what is open belongs here"),
            ("{", 1, 2, "a key in double quotes belongs here"),
            ("[,]", 1, 2, "a value belongs here"),
        ],
    )
    def test_errors_of_a_json_file(self, text: str, line: int, column: int, message: str) -> None:
        problem = only(text, "f.json")
        assert problem.code is Code.TEXT_INVALID
        assert problem.message == f"not valid JSON: {message}"
        assert place(problem) == (line, column)


class TestHostile:
    """What is refused, with a place and in bounded work."""

    @pytest.mark.parametrize("open_", ["[", "- ", '{"a":', "{a: "])
    def test_depth(self, open_: str) -> None:
        problem = only(open_ * 200_000)
        assert problem.code is Code.TEXT_REFUSED
        assert problem.message == f"nested deeper than {LIMITS.depth} levels"
        assert problem.at.line == 1

    def test_depth_behind_what_was_refused(self) -> None:
        _, problems = read("a: !x 1\nb: " + "[" * 100_000)
        assert [one.message for one in problems] == ["tag `!x`", f"nested deeper than {LIMITS.depth} levels"]
        assert [one.at.line for one in read("? " * 100_000)[1]] == [1, 1]

    def test_the_deepest_that_is_read(self) -> None:
        deep = LIMITS.depth
        assert read("[" * deep + "]" * deep)[1] == []
        assert read("x: " + "[" * (deep - 1) + "]" * (deep - 1))[1] == []
        assert only("x: " + "[" * deep + "]" * deep).code is Code.TEXT_REFUSED

    def test_a_billion_laughs(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        problem = only("\n".join(lines))
        assert problem.message == f"aliases stand for more than {LIMITS.aliased} values"
        assert problem.at.line == 5

    def test_merged_laughs(self) -> None:
        lines = ["a0: &a0 {k: [x, x, x, x, x, x, x, x]}"]
        lines += [f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}}}" for n in range(1, 40)]
        assert only("\n".join(lines)).message == f"aliases stand for more than {LIMITS.aliased} values"

    def test_depth_through_aliases(self) -> None:
        lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [[[[[[*a{n - 1}]]]]]]" for n in range(1, 40)]
        problem = only("\n".join(lines))
        assert problem.message == f"nested deeper than {LIMITS.depth} levels through aliases"

    @pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "&a {b: {c: *a}}", "a: &a {<<: *a}"])
    def test_anchors_that_contain_themselves(self, text: str) -> None:
        problem = only(text)
        assert (problem.code, problem.message) == (Code.TEXT_REFUSED, "anchor `a` contains itself")

    @pytest.mark.parametrize("template", ["a: 1\nb: {}", 'a: 1\nb: "{}"', "a: 1\nb: |\n  {}"])
    def test_long_scalars(self, template: str) -> None:
        assert read(template.format("x" * (LIMITS.scalar - 1)))[1] == []
        problem = only(template.format("x" * (LIMITS.scalar + 1)))
        assert problem.code is Code.TEXT_REFUSED
        assert place(problem) == (2, 4)

    def test_directives(self) -> None:
        text = "a: 1\n...\n" + "".join(f"%TAG !t{n}! tag:x:{n}\n" for n in range(200)) + "---\nb: 1\n"
        assert only(text).message == f"more than {LIMITS.directives} lines that begin with `%`"

    def test_long_json_strings(self) -> None:
        assert only('{"a": "' + "x" * (LIMITS.scalar + 1) + '"}').code is Code.TEXT_REFUSED

    def test_long_texts(self) -> None:
        problems = Problems()
        assert decode_bytes(b" " * (LIMITS.text + 1), "f", problems) is None
        assert [one.code for one in problems] == [Code.TEXT_REFUSED]
        assert only(" " * (LIMITS.text + 1)).code is Code.TEXT_REFUSED

    @pytest.mark.parametrize(
        ("tag", "shown"),
        [
            ("!!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
            ("!!binary aGk=", "!!binary"),
            ("!!timestamp 2024-01-01", "!!timestamp"),
            ("!!set {x}", "!!set"),
            ("!mine {x: 1}", "!mine"),
            ("!!map [1]", "!!map"),
        ],
    )
    def test_tags(self, tag: str, shown: str) -> None:
        problem = only(f"a: 1\nb: {tag}\n")
        assert (problem.code, problem.message, place(problem)) == (Code.TEXT_REFUSED, f"tag `{shown}`", (2, 4))

    @pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9f", "\ud800", "\ufffe", "\uffff"])
    def test_control_characters(self, char: str) -> None:
        problem = only(f"a: 1\r\nb: xy{char}z\n")
        assert problem.code is Code.TEXT_INVALID
        assert problem.message == f"character U+{ord(char):04X} cannot stand in a manifest"
        assert place(problem) == (2, 6)

    def test_control_characters_in_flow(self) -> None:
        assert only('{"a": "x\x00"}').message == "character U+0000 cannot stand in a manifest"

    @pytest.mark.parametrize(
        ("data", "line", "column"), [(b"a: 1\nb: \xff\n", 2, 4), ("é: ".encode() + b"\xc3(", 1, 4)]
    )
    def test_bytes_that_are_no_utf_8(self, data: bytes, line: int, column: int) -> None:
        problems = Problems()
        assert decode_bytes(data, "f", problems) is None
        assert (problems[0].code, place(problems[0])) == (Code.TEXT_INVALID, (line, column))

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
    def test_other_encodings(self, encoding: str) -> None:
        problems = Problems()
        assert decode_bytes("a: 1".encode(encoding), "f", problems) is None
        assert [one.code for one in problems] == [Code.TEXT_REFUSED]

    def test_a_mark_of_utf_8(self) -> None:
        assert decode_bytes(b"\xef\xbb\xbfa: 1", "f", Problems()) == "a: 1"


class TestWithoutLibyaml:
    """PyYAML's own parser gives the same events, slower."""

    @pytest.mark.parametrize(
        "text",
        [
            "a: 1\nb: [x, {c: ~}]\n---\n&k d: *k\n",
            "a: 1\na: 2\n",
            "a: [1\n---\nb: 1\n",
            "a: &a [*a]\n---\nb: !x 1\n",
            "[" * 200,
            "? [a]\n: b\n",
        ],
    )
    def test_the_same_is_read(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def seen() -> tuple[list[object], list[tuple[Code, int, int]]]:
            found, problems = read(text)
            return [(one.value, one.places) for one in found], [(one.code, *place(one)) for one in problems]

        fast = seen()
        monkeypatch.setattr(yaml_text, "_Parser", yaml.SafeLoader)
        assert seen() == fast
