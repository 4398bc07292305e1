"""What is checked of a shard when it is read."""

from typing import Literal, TypeAlias

Verify: TypeAlias = Literal["touched", "frames", "full", "off"]
"""What is checked of a shard."""
CHECKED: dict[Verify, str] = {
    "touched": "the size of every shard, and checksum and patch hashes of every record when it is first read",
    "frames": "the size of every shard, and where some of its records begin and end",
    "full": "the size of every shard, and checksum and patch hashes of every record when its shard is first opened",
    "off": "the size of every shard alone",
}
"""What a run says of it."""
