#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Trains one configuration in two ways with several seeds, and compares where they end on the validation period.

  bench/compare/precision.py build/release examples/winds/run.yaml                                        # fp32, bf16
  bench/compare/precision.py build/release examples/winds/run.yaml --key train.activations keep compress

The second passes where its mean is inside the interval of the first's runs, widened on either side by half its length: a margin
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
    parser.add_argument('--key', nargs=3, default=['train.precision', 'fp32', 'bf16'], metavar=('KEY', 'FIRST', 'SECOND'))
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', help='changes the configuration')
    options = parser.parse_args()
    results = {}
    key, first, second = options.key
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            for way in (first, second):
                out = os.path.join(folder, f'{way}-{seed}')
                command = [os.path.join(options.build, 'bin', 'gregale'), 'train', options.config, '--quiet', '--json', '--seed',
                           str(seed), '--out', out, '--set', f'{key}={way}']
                for setting in options.set:
                    command += ['--set', setting]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    sys.exit(done.stderr.strip())
                document = json.loads(done.stdout)
                results.setdefault(way, []).append(document['validation']['ratio_to_climatology'])
                print(f"seed {seed} {way}: {results[way][-1]:.5f} of climatology, "
                      f"{document['seconds']:.1f} s, {document['peak_rss_bytes'] * 1e-6:.0f} MB", flush=True)
    low, high = min(results[first]), max(results[first])
    mean = statistics.mean(results[second])
    margin = MARGIN * (high - low)
    print(f"{first}: {low:.5f} to {high:.5f}, mean {statistics.mean(results[first]):.5f}; {second}: {min(results[second]):.5f} to "
          f"{max(results[second]):.5f}, mean {mean:.5f}")
    inside = low - margin <= mean <= high + margin
    print(f"the mean of {second} is {'inside' if inside else 'OUTSIDE'} [{low - margin:.5f}, {high + margin:.5f}]")
    return 0 if inside else 1


if __name__ == '__main__':
    sys.exit(main())
