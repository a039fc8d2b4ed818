#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Resumes one configuration half-way from checkpoints with exact and with compressed moments, and compares where it ends.

  bench/compare/moments.py build/release examples/winds/run.yaml --steps 100 --bounds 1e-3 1e-2 1e-1

For each seed: the uninterrupted run, and for each bound the run that stopped half-way and went on from a checkpoint whose
moments were kept within it. Printed: bytes of that checkpoint, and the mean over variables of validation RMSE over the
climatology's.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile


def train(options, out, settings, resume=False):
    command = [os.path.join(options.build, 'bin', 'gregale'), 'train', options.config, '--json', '--out', out]
    for setting in [f'train.steps={options.steps}'] + settings:
        command += ['--set', setting]
    if resume:
        command.append('--resume')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    said = re.findall(r'first errs by at most (\S+) and the root by (\S+)', done.stderr)
    return json.loads(done.stdout)['validation']['ratio_to_climatology'], said


def keep_only(folder, step):
    for name in os.listdir(folder):
        if name != f'checkpoint-{step}.safetensors':
            os.remove(os.path.join(folder, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', help='build folder, e.g. build/release')
    parser.add_argument('config', help='RUN.yaml')
    parser.add_argument('--steps', type=int, default=100)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--bounds', nargs='+', default=['1e-3', '1e-2', '1e-1'])
    options = parser.parse_args()
    half = options.steps // 2
    ends, sizes = {'exact': []}, {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            whole = os.path.join(folder, f'exact-{seed}')
            settings = [f'train.seed={seed}']
            ends['exact'].append(train(options, whole, settings + [f'train.checkpoint_every={half}'])[0])
            keep_only(whole, half)
            for bound in options.bounds:
                packed = ['train.checkpoint_moments={rel: %s}' % bound]
                out = os.path.join(folder, f'{bound}-{seed}')
                shutil.copytree(whole, out)
                # One step further on the exact one, this time with a bound; then from there.
                further = train(options, out, settings + packed + [f'train.checkpoint_every={half + 1}'], resume=True)[1]
                keep_only(out, half + 1)
                file = os.path.join(out, f'checkpoint-{half + 1}.safetensors')
                sizes[bound] = os.path.getsize(file)
                end = train(options, out, settings + packed, resume=True)[0]
                ends.setdefault(bound, []).append(end)
                print(f"seed {seed}, rel {bound}: {sizes[bound]} bytes, errors {further[0] if further else '?'}; ends at {end:.6f}, "
                      f"uninterrupted {ends['exact'][-1]:.6f}", flush=True)
            sizes['exact'] = os.path.getsize(os.path.join(whole, f'checkpoint-{half}.safetensors'))
    spread = max(ends['exact']) - min(ends['exact'])
    print(f"seeds of uninterrupted runs differ by {spread:.6f}")
    for way, values in ends.items():
        apart = max(abs(a - b) for a, b in zip(values, ends['exact']))
        print(f"{way}: {sizes[way]} bytes, mean {statistics.mean(values):.6f}, at most {apart:.2g} from the uninterrupted")
    return 0


if __name__ == '__main__':
    sys.exit(main())
