"""Cut the symbol table off a shared library, as `strip` would: strip.py FILE.

A loader reads an ELF file's segments; what only linkers and debuggers read, section headers among
it, stands behind the last of them. The base image has no binutils.
"""

import struct
import sys
from pathlib import Path

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # of an ELF file, in 64 bits, little-endian
_SEGMENT = struct.Struct("<IIQQQQQQ")


def cut(path: Path) -> None:
    """Rewrite the file without what follows its last segment."""
    data = bytearray(path.read_bytes())
    fields = list(_HEADER.unpack_from(data))
    if not fields[0].startswith(b"\x7fELF\x02\x01"):
        raise ValueError(f"expected an ELF file in 64 bits, little-endian, got {path}")
    first, size, count = fields[5], fields[9], fields[10]
    end = first + size * count
    for index in range(count):
        segment = _SEGMENT.unpack_from(data, first + size * index)
        end = max(end, segment[2] + segment[5])
    fields[6] = fields[12] = fields[13] = 0  # no section headers: place, number, names
    _HEADER.pack_into(data, 0, *fields)
    path.write_bytes(data[:end])


if __name__ == "__main__":
    cut(Path(sys.argv[1]))
