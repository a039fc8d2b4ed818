#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Holds the peaks of `gregale machine` against the register-only loops of peak.cpp, which share no code with it.

  bench/peers/check_ceilings.py build/release [--rounds 5] [--tolerance 0.05]

Runs both in turn, with the same threads, on an idle machine; exits with 1 where medians differ by more than the
tolerance.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

from peers import Worker, rate_of


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--tolerance', type=float, default=0.05)
    options = parser.parse_args()
    options.venv, options.verbose = '', False
    threads = len(os.sched_getaffinity(0))
    workers = {}
    for unit in ('fp32', 'bf16', 'amx_bf16', 'amx_int8'):
        for count, key in ((1, 'one_thread'), (threads, 'all_threads')):
            worker = Worker(options.build, 'peak', count, options)
            if worker.ask({'op': 'peak', 'unit': unit, 'threads': count}).get('ready'):
                workers[unit, key] = worker
            else:
                worker.close()
    loops = {which: [] for which in workers}
    machines = []
    for _ in range(options.rounds):
        out = subprocess.run([os.path.join(options.build, 'bin', 'gregale'), 'machine', '--fresh', '--json', '--quiet',
                              '--threads', str(threads)], check=True, capture_output=True, text=True)
        machines.append(json.loads(out.stdout))
        for _ in range(5):
            for which, worker in workers.items():
                loops[which].append(worker.ask('run'))
    for worker in workers.values():
        worker.close()
    amx = machines[0]['isa'] == 'amx'
    good = True
    print(f"{'unit':10} {'threads':12} {'gregale':>9} {'loop':>9}  ratio")
    for (unit, key), values in loops.items():
        name = unit.replace('amx_', '')
        if name == 'bf16' and amx != (unit == 'amx_bf16'):
            continue  # the machine's bf16 peak is that of its fastest unit
        measured = [m['peak_gflops'][name][key] for m in machines]
        if None in measured:
            print(f'{unit:10} {key:12} not measured by gregale machine: {machines[0]["reasons"].get(name)}')
            good = False
            continue
        loop = rate_of(values)
        ratio = statistics.median(measured) / loop
        fits = abs(ratio - 1) <= options.tolerance
        good = good and fits
        print(f'{unit:10} {key:12} {statistics.median(measured):9.1f} {loop:9.1f}  {ratio:.3f}'
              + ('' if fits else '  DIFFERS'))
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
