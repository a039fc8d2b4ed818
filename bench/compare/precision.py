#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Trains one configuration in fp32 and in bf16 with several seeds, and compares where they end on the validation period.

  bench/compare/precision.py build/release examples/winds/run.yaml

bf16 passes where its mean is inside the interval of the fp32 runs, widened on either side by half its length: a margin
chosen before the first run. The figure is the mean over variables of RMSE over the climatology's.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

MARGIN = 0.5  # of the interval


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', help='build folder, e.g. build/release')
    parser.add_argument('config', help='RUN.yaml')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', help='changes the configuration')
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            for precision in ('fp32', 'bf16'):
                out = os.path.join(folder, f'{precision}-{seed}')
                command = [os.path.join(options.build, 'bin', 'gregale'), 'train', options.config, '--quiet', '--json', '--seed',
                           str(seed), '--out', out, '--set', f'train.precision={precision}']
                for setting in options.set:
                    command += ['--set', setting]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    sys.exit(done.stderr.strip())
                document = json.loads(done.stdout)
                results.setdefault(precision, []).append(document['validation']['ratio_to_climatology'])
                print(f"seed {seed} {precision}: {results[precision][-1]:.5f} of climatology, "
                      f"{document['seconds']:.1f} s, {document['peak_rss_bytes'] * 1e-6:.0f} MB", flush=True)
    low, high = min(results['fp32']), max(results['fp32'])
    mean = statistics.mean(results['bf16'])
    margin = MARGIN * (high - low)
    print(f"fp32: {low:.5f} to {high:.5f}, mean {statistics.mean(results['fp32']):.5f}; bf16: {min(results['bf16']):.5f} to "
          f"{max(results['bf16']):.5f}, mean {mean:.5f}")
    inside = low - margin <= mean <= high + margin
    print(f"bf16's mean is {'inside' if inside else 'OUTSIDE'} [{low - margin:.5f}, {high + margin:.5f}]")
    return 0 if inside else 1


if __name__ == '__main__':
    sys.exit(main())
