# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Reads the event files of a training directory with TensorBoard's own reader and prints what it found.

Usage: python3 tensorboard_reads_events.py DIR [TAG STEP VALUE]...

Needs the package `tensorboard`. Ends with status 1 where a file of DIR is damaged, has no scalars, or does not hold a
TAG STEP VALUE asked for.
"""

import glob
import math
import os
import struct
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c


def check_frames(path):
    """Every checksum, which TensorBoard's fast reader may skip; the last record may be cut short by a kill."""
    with open(path, "rb") as file:
        data = file.read()
    at = count = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        (length_crc,) = struct.unpack_from("<I", data, at + 8)
        assert length_crc == masked_crc32c(data[at : at + 8]), f"{path}: checksum of the length at byte {at}"
        if at + 16 + length > len(data):
            break
        (event_crc,) = struct.unpack_from("<I", data, at + 12 + length)
        assert event_crc == masked_crc32c(data[at + 12 : at + 12 + length]), f"{path}: checksum of the event at byte {at}"
        at += 16 + length
        count += 1
    return count


def main():
    folder, wanted = sys.argv[1], sys.argv[2:]
    paths = sorted(glob.glob(os.path.join(folder, "events.out.tfevents.*")))
    assert paths, f"{folder}: no event files"
    for path in paths:
        frames = check_frames(path)
        events = list(EventFileLoader(path).Load())
        assert len(events) == frames, f"{path}: {frames} records, but TensorBoard reads {len(events)}"
        assert events[0].file_version == "brain.Event:2", f"{path}: version {events[0].file_version!r}"
        print(f"{os.path.basename(path)}: {frames} events, checksums right")
    accumulator = event_accumulator.EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    curves = {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}
    assert curves, f"{folder}: no scalars"
    for tag, events in sorted(curves.items()):
        print(f"{tag}: {len(events)} values, steps {events[0].step} to {events[-1].step}, last {events[-1].value:g}")
    for tag, step, value in zip(wanted[::3], wanted[1::3], wanted[2::3]):
        found = [event.value for event in curves.get(tag, []) if event.step == int(step)]
        assert any(math.isclose(v, float(value), rel_tol=1e-6) for v in found), f"{tag} at {step}: {found}, not {value}"


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(str(error))
