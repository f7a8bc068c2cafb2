"""Requests: spec/request.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshroute import Request, RequestError
from meshroute.names import unwire, wire
from meshroute.request import SINGLE_SLOT_HEADERS

names = st.sampled_from(("x-user", "X-User", "Cookie", "cookie", "Accept", "accept", "user-agent"))
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
blanks = st.text(" \t", max_size=2)


class TestReq1Headers:
    """REQ-1: names are compared in lower case; blanks around a value are not part of it."""

    @given(names, blanks, texts, blanks)
    def test_case_and_blanks_go(self, name: str, before: str, value: str, after: str) -> None:
        """What stands between is kept, blanks inside included."""
        request = Request.of("GET", "http://h/", {name: before + value + after})
        assert request.headers == ((name.lower(), wire(value).strip(" \t")),)


class TestReq2SingleSlots:
    """REQ-2: a header of a single slot has one value, its lines joined; any other has one for each line."""

    @given(st.lists(st.tuples(names, st.sampled_from(("a", "b", "a,b", ""))), max_size=6))
    def test_lines_are_joined_or_kept(self, lines: list[tuple[str, str]]) -> None:
        """In order, by name without case; empty lines of a single slot leave no comma."""
        request = Request.of("GET", "http://h/", lines)
        for name in {name.lower() for name, _ in lines}:
            values = [value for line, value in lines if line.lower() == name]
            expected = (",".join(filter(None, values)),) if name in SINGLE_SLOT_HEADERS else tuple(values)
            assert request.fields[name] == expected


class TestReq3Paths:
    """REQ-3: the path ends at the first `#`, and path conditions see it up to its first `?`."""

    @given(st.text("ab/?#&=%.", max_size=12))
    def test_the_parts_make_the_whole(self, rest: str) -> None:
        """Cut by hand; nothing is decoded."""
        request = Request("GET", "h", "/" + rest)
        whole = ("/" + rest).split("#")[0]
        assert request.path == whole
        assert request.plain_path == whole.split("?")[0]
        assert request.query == (whole.split("?", 1)[1] if "?" in whole else None)

    @given(st.text("ab/?#&=%.:", max_size=12))
    def test_a_url_gives_the_same_request_as_its_parts(self, rest: str) -> None:
        """An empty path is `/`."""
        request = Request.of("GET", "http://h/" + rest)
        assert request == Request("GET", "h", "/" + rest)
        assert Request.of("GET", "http://h?q").path == "/?q"


class TestReq4Ports:
    """REQ-4: the listener's port is that of the URL, or the scheme's own; a host header replaces the authority only."""

    @given(st.sampled_from(("http", "https")), st.integers(1, 65535) | st.none(), st.sampled_from((None, "o", "o:9")))
    def test_where_the_client_connects(self, scheme: str, port: int | None, host: str | None) -> None:
        """Whatever the Host header says."""
        authority = "h" if port is None else f"h:{port}"
        request = Request.of("GET", f"{scheme}://{authority}/", {"Host": host} if host else ())
        assert request.port == (port or {"http": 80, "https": 443}[scheme])
        assert request.authority == (host or authority)
        assert request.headers == ()


class TestReq5Bytes:
    """REQ-5: text is bytes of UTF-8, compared one by one."""

    @given(texts)
    def test_a_value_is_as_long_as_its_bytes(self, value: str) -> None:
        """And comes back as the text it was."""
        request = Request.of("GET", "http://h/", {"x": f"[{value}]"})
        assert len(request.fields["x"][0]) == len(f"[{value}]".encode())
        assert unwire(request.fields["x"][0]) == f"[{value}]"
        assert request == Request.of("GET", "http://h/", {"x": f"[{value}]".encode()})

    def test_making_a_request_of_a_request_s_fields_changes_nothing(self) -> None:
        """Wire form is taken as it is, not encoded again."""
        request = Request.of("GET", "http://h/é", {"x": "é"})
        assert Request(request.method, request.authority, request.path, request.headers) == request


BAD = [
    ("GET", "nginx-service/v2", (), "must be absolute"),
    ("GET", "ftp://h/", (), "must be absolute"),
    ("GET", "http:///v2", (), "must be absolute"),
    ("GET", "http://h/a b", (), "percent-encoded"),
    ("GET", "http://h/a\nb", (), "percent-encoded"),
    ("GET", "http://user@h/", (), "has a user"),
    ("GET", "http://h:99999/", (), "not a port"),
    ("GET", "http://h:0/", (), "not a port"),
    ("GET", "http://h:x/", (), "not a port"),
    ("GET", "http://[::1/", (), "cannot be read"),
    ("G T", "http://h/", (), "not an HTTP token"),
    ("", "http://h/", (), "not an HTTP token"),
    ("GET", "http://h/", {"a b": "c"}, "not an HTTP token"),
    ("GET", "http://h/", {"a": "b\r\nc: d"}, "control character"),
]


@pytest.mark.parametrize(("method", "url", "headers", "reason"), BAD)
def test_what_no_client_can_send_is_refused(method: str, url: str, headers: dict[str, str], reason: str) -> None:
    """Each with its reason."""
    with pytest.raises(RequestError, match=reason):
        Request.of(method, url, headers)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"path": "v2"}, "does not start with `/`"),
        ({"path": "/é\u0100"}, "not in wire form"),
        ({"authority": ""}, "not a host name"),
        ({"authority": "a/b"}, "not a host name"),
        ({"port": 70000}, "between 1 and 65535"),
        ({"scheme": "gopher"}, "not one of"),
        ({"source_ip": "localhost"}, "not an IP address"),
    ],
)
def test_fields_are_checked_one_by_one(fields: dict[str, object], reason: str) -> None:
    """Built field by field, with one of them wrong."""
    good: dict[str, object] = {"method": "GET", "authority": "h", "path": "/"}
    with pytest.raises(RequestError, match=reason):
        Request(**(good | fields))  # type: ignore[arg-type] # wrong on purpose
