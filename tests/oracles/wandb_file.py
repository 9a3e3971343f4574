"""What a W&B file holds, by its format alone: LevelDB's log format after a header of 7 bytes, of W&B's messages."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK, _HEADER = 32768, 7


def read_records(path: Path) -> list[Any]:
    """The records of a .wandb file, in order; checksums are verified."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    position, parts, records = _HEADER, b"", []
    while position + _HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[position : position + _HEADER])
        content = data[position + _HEADER : position + _HEADER + length]
        assert checksum == zlib.crc32(bytes([kind]) + content)
        parts += content
        if kind in (1, 4):  # whole, or the last part
            records.append(Record.FromString(parts))
            parts = b""
        position += _HEADER + length
    return records


def read_run(path: Path) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """A run's id, its configuration, and its history: what was logged at each step, ``_step`` among it."""
    records = read_records(path)
    run_id = next(record.run.run_id for record in records if record.HasField("run"))
    configuration = {}
    for record in records:
        for update in [*record.run.config.update, *record.config.update]:
            configuration[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
    history = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    return run_id, configuration, history
