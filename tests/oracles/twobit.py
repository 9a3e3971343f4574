"""UCSC 2bit files, written for tests."""

import struct


def two_bit(contigs: dict[str, str], order: str = "<") -> bytes:
    """UCSC 2bit by its specification, written base by base."""
    index, records = b"", b""
    index_size = sum(1 + len(name) + 4 for name in contigs)
    for name, sequence in contigs.items():
        index += struct.pack("B", len(name)) + name.encode() + struct.pack(order + "I", 16 + index_size + len(records))
        records += struct.pack(order + "I", len(sequence))
        for is_in in (lambda letter: letter in "Nn", str.islower):
            runs, start = [], None
            for i, letter in enumerate([*sequence, ""]):
                if letter and is_in(letter):
                    start = i if start is None else start
                elif start is not None:
                    runs.append((start, i - start))
                    start = None
            for values in ([len(runs)], [r[0] for r in runs], [r[1] for r in runs]):
                records += struct.pack(f"{order}{len(values)}I", *values)
        records += struct.pack(order + "I", 0)
        digits = ["TCAG".index(letter.upper()) if letter.upper() in "TCAG" else 0 for letter in sequence]
        digits += [0] * (-len(digits) % 4)
        for a, b, c, d in zip(*[iter(digits)] * 4, strict=True):
            records += bytes([a << 6 | b << 4 | c << 2 | d])
    return struct.pack(order + "IIII", 0x1A412743, 0, len(contigs), 0) + index + records
