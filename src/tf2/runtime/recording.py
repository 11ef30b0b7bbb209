"""What went over a link as lines of JSON, and a link that answers from them."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tf2.errors import DeviceError
from tf2.runtime.link import Link

FORMAT = {"format": "tf2 link recording", "version": 1}


class RecordingLink:
    """A link that writes down what goes over another: each read with its answer, each write's CRC.

    Args:
        link: The other.
        path: The file, of one JSON object a line.
    """

    def __init__(self, link: Link, path: str | os.PathLike[str]) -> None:
        self.name = link.name
        self._link = link
        self._file: TextIO = Path(path).open("w")
        self._note({**FORMAT, "link": link.name})

    def read(self, address: int, size: int) -> bytes:
        """Read through the other link and note the answer."""
        data = self._link.read(address, size)
        packed = base64.b85encode(zlib.compress(data, 9)).decode()
        self._note({"read": address, "size": size, "data": packed})
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write through the other link and note address, size and CRC."""
        self._link.write(address, data)
        self._note({"write": address, "size": len(data), "crc": zlib.crc32(data)})

    def recover(self) -> None:
        """Recover the other link; replayed, nothing happens."""
        self._link.recover()

    def close(self) -> None:
        """Close the other link and the file."""
        self._file.close()
        self._link.close()

    def __enter__(self) -> RecordingLink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")


class ReplayLink:
    """A link that answers as a recording says, and refuses anything else than what it holds.

    Args:
        path: Written by `RecordingLink`.

    Raises:
        DeviceError: The file is no recording.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        try:
            head, *self._entries = map(json.loads, Path(path).read_text().splitlines())
            known = {key: head.get(key) for key in FORMAT} == FORMAT
        except (OSError, ValueError, AttributeError) as error:
            raise DeviceError(f"{self.name} is no recording of a link: {error!r}") from error
        if not known:
            raise DeviceError(f"{self.name} is no recording of a link: it begins with {head}")
        self._next = 0

    @property
    def finished(self) -> bool:
        """Whether all that was recorded was asked for."""
        return self._next == len(self._entries)

    def read(self, address: int, size: int) -> bytes:
        """Return what was read then."""
        entry = self._expect({"read": address, "size": size})
        return zlib.decompress(base64.b85decode(entry["data"]))

    def write(self, address: int, data: bytes) -> None:
        """Check that this was written then."""
        self._expect({"write": address, "size": len(data), "crc": zlib.crc32(data)})

    def recover(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _expect(self, asked: dict[str, Any]) -> dict[str, Any]:
        entry = self._entries[self._next] if self._next < len(self._entries) else {}
        if {key: entry.get(key) for key in asked} != asked:
            held = {key: value for key, value in entry.items() if key != "data"}
            raise DeviceError(
                f"{self.name}: entry {self._next} of the recording is {held or 'its end'}, the "
                f"host asked for {asked}; record it again if the driver has changed"
            )
        self._next += 1
        return entry
