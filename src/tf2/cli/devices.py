"""``tf2 devices``: what is plugged in."""

from __future__ import annotations

from tf2.cli.console import print_json, print_lines, print_table
from tf2.cli.options import Json

EPILOG = """\b
Examples:
  tf2 devices
  tf2 devices --json
"""


def command(json: Json = False) -> None:
    """List serial ports and programming cables, and the boards that they may be."""
    from tf2.errors import DeviceError, MissingExtraError
    from tf2.runtime.devices import find_ports
    from tf2.runtime.flash import scan_usb

    ports = find_ports()
    cables: tuple[str, ...] = ()
    note = ""
    try:
        cables = scan_usb()
    except (DeviceError, MissingExtraError) as error:  # the ports are worth showing without it
        note = str(error)
    if json:
        print_json({"ports": ports, "cables": cables, "note": note or None})
        return
    if ports:
        rows = [[p.name, p.usb, ", ".join(p.boards) or "-", p.description] for p in ports]
        print_table(["port", "USB", "may be", "description"], rows)
    else:
        print_lines("no serial port is there")
    for line in cables:
        print_lines(f"cable  {line}")
    if note:
        print_lines(f"programming cables are not shown: {note}")
