"""Reads the messages of a folder and writes what is in them as JSON."""

import email
import email.header
import email.policy
import email.utils
import json
import pathlib
import sys


def name(raw):
    """The sender's name, by the older of Python's two readers: the newer leaves spaces between encoded words (RFC 2047, 6.2)."""
    encoded, _ = email.utils.parseaddr(email.message_from_bytes(raw)["From"])
    return str(email.header.make_header(email.header.decode_header(encoded))).strip()


def read(raw):
    m = email.message_from_bytes(raw, policy=email.policy.default)
    (sender,), (recipient,) = m["From"].addresses, m["To"].addresses
    parts = list(m.iter_parts())
    faults = [m.defects] + [p.defects for p in parts] + [v.defects for v in m.values()]
    assert not any(faults), faults
    assert m.get_content_type() == "multipart/alternative" and recipient.display_name == ""
    return {
        "FromName": name(raw),
        "From": sender.addr_spec,
        "To": recipient.addr_spec,
        "Subject": m["Subject"],
        "Date": m["Date"],
        "MessageID": m["Message-ID"],
        "AutoSubmitted": m["Auto-Submitted"],
        "Headers": len(m),
        "Types": [p["Content-Type"].replace('"', "") for p in parts],
        "Bodies": [p.get_content().replace("\r\n", "\n") for p in parts],
    }


json.dump({f.name: read(f.read_bytes()) for f in pathlib.Path(sys.argv[1]).iterdir()}, sys.stdout)
