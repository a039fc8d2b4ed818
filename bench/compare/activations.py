#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""What keeping activations in other ways saves and costs: a training step of two networks, alternately in every way.

  bench/compare/activations.py build/release

Memory is what is resident between forward and backward pass beyond what was before the first step; the whole process's peak is
beside it. Times are medians over rounds, over the time that keeps everything. Then the errors of gradients, predicted and measured.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

NETWORKS = (('surrogate3d', 4, 2), ('afno', 4, 4))  # with batch, and steps a round
WAYS = (('keep', None), ('recompute', None), ('bf16', None), ('compress', 4), ('compress', 3), ('compress', 2))


def run(program, arguments):
    done = subprocess.run([program, 'bench', *arguments, '--json', '--quiet'], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', help='build folder, e.g. build/release')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--networks', nargs='*', default=[n for n, _, _ in NETWORKS])
    parser.add_argument('--no-errors', action='store_true')
    options = parser.parse_args()
    program = os.path.join(options.build, 'bin', 'gregale')
    print('| network, batch | kept | boundary, MB | of keeping all | planned, MB | peak RSS, MB | step time |')
    print('|---|---|--:|--:|--:|--:|--:|')
    for network, batch, runs in NETWORKS:
        if network not in options.networks:
            continue
        seconds, last = {}, {}
        for _ in range(options.rounds):
            for way, bits in WAYS:
                arguments = ['model', network, '--mode', 'train', '--batch', str(batch), '--runs', str(runs), '--activations', way]
                arguments += ['--activation-bits', str(bits)] if bits else []
                last[way, bits] = run(program, arguments)
                seconds.setdefault((way, bits), []).append(last[way, bits]['min_seconds'])
        whole = last['keep', None]['boundary_bytes']
        time = statistics.median(seconds['keep', None])
        for way, bits in WAYS:
            d = last[way, bits]
            name = f'{way}, {bits} bits' if bits else way
            print(f"| {network}, {batch} | {name} | {d['boundary_bytes'] * 1e-6:.1f} | 1 / {whole / d['boundary_bytes']:.1f} | "
                  f"{d['kept_bytes'] * 1e-6:.1f} | {d['peak_rss_bytes'] * 1e-6:.0f} | "
                  f"{statistics.median(seconds[way, bits]) / time:.2f} |", flush=True)
    if options.no_errors:
        return
    print('\n| network, bits | predicted over measured: median | nine in ten within | gradients, steps |')
    print('|---|--:|--:|--:|')
    for network, _, _ in NETWORKS:
        for bits in (2, 3, 4):
            d = run(program, ['activations', network, '--batch', '1', '--activation-bits', str(bits), '--steps', '3'])
            print(f"| {network}, {bits} | {d['median_ratio']:.2f} | {100 * d['p90_distance']:.0f} % | "
                  f"{d['compared'] // d['steps']}, {d['steps']} |", flush=True)


if __name__ == '__main__':
    main()
