"""Damage to files, drawn by hypothesis: what a reader must answer with transcripts or InputError, and nothing else."""

from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TOKENS = (
    b"\t",
    b"\n",
    b"\r",
    b",",
    b"#",
    b"-1",
    b"0",
    b"999999999999",
    b"\x00",
    b"\x1f\x8b",
    b'"',
    b";",
    b"=",
    b"%",
    b"|",
)

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
deep = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damage(seed: bytes, separator: bytes = b"\t", tokens: Sequence[bytes] = TOKENS) -> st.SearchStrategy[bytes]:
    """``seed`` with bytes of it cut out and others put in, with its fields exchanged, or other bytes altogether."""
    return st.one_of(_bytes_changed(seed, tokens), _fields_moved(seed, separator), st.binary(max_size=300))


@st.composite
def _bytes_changed(draw: Callable[..., bytes], seed: bytes, tokens: Sequence[bytes]) -> bytes:
    text = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at, cut = draw(st.integers(0, len(text))), draw(st.integers(0, 6))
        text[at : at + cut] = draw(st.one_of(st.binary(max_size=4), st.sampled_from(tokens)))
    return bytes(text[: draw(st.sampled_from([len(text), len(text) * 2 // 3]))])


@st.composite
def _fields_moved(draw: Callable[..., bytes], seed: bytes, separator: bytes) -> bytes:
    table = [line.split(separator) for line in seed.splitlines()]
    values = [field for row in table for field in row] + [b"", b"0", b"1", b"7,", b"1,2,3,", b"None"]
    for _ in range(draw(st.integers(1, 4))):
        fields = draw(st.sampled_from(table))
        at = draw(st.integers(0, len(fields) - 1))
        match draw(st.sampled_from(["replace", "insert", "drop", "row"])):
            case "replace":
                fields[at] = draw(st.sampled_from(values))
            case "insert":
                fields.insert(at, draw(st.sampled_from(values)))
            case "drop" if len(fields) > 1:
                del fields[at]
            case _:
                table.append(list(fields))
    return b"\n".join(separator.join(fields) for fields in table)
