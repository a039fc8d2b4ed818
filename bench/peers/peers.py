#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Times Gregale's matrix products and those of other libraries alternately, in one run.

Build them first (what is not installed is left out):
  cmake --preset release -D GREGALE_BENCH=ON [-D GREGALE_PEERS_VENV=DIR] && cmake --build --preset release
  bench/peers/peers.py build/release --markdown docs/benchmarks.md --json peers.json

Each library runs in a process of its own: AMX lowers the clock for a while, and thread pools get in one another's way.
Every round times each library once, in turn, so that a slow moment of the machine falls on all of them; a ratio is one
of medians. Needs an idle machine, and no Python packages.
"""
import argparse
import datetime
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time

PEERS = ['gregale', 'onednn', 'openblas', 'blis', 'libxsmm', 'onednn_venv', 'mkl_venv']
# The targets are stated against these; newer or generic builds are reported beside them.
SGEMM_RIVALS = ['openblas', 'onednn', 'blis']
NOISY = 0.15  # distance of quartiles, as a fraction of the median
SETTLE = 0.04  # seconds: the threads of the one before spin for a while before they sleep


def job(m, n, k, dtype, packed, threads, note=''):
    return {'op': 'gemm', 'm': m, 'n': n, 'k': k, 'dtype': dtype, 'packed': packed, 'threads': threads, 'note': note}


def jobs_of(threads, quick):
    both = sorted({1, threads})
    if quick:
        return ([job(512, 512, 512, d, p, t) for d, p in (('bf16', True), ('bf16', False), ('fp32', False)) for t in both]
                + [job(1024, 1024, 1024, 'fp32x3', False, threads)])
    jobs = [job(4096, 4096, 4096, 'bf16', False, t) for t in both]
    jobs += [job(m, n, k, 'bf16', True, threads)
             for m, n, k in ((16200, 768, 768), (16200, 3072, 768), (384, 1024, 1024), (512, 512, 512))]
    jobs += [job(2048, 2048, 2048, 'fp32x3', False, t) for t in both]
    jobs += [job(2048, 2048, 2048, 'fp32', False, t) for t in both]
    return jobs


class Worker:
    """One library in a process of its own."""

    def __init__(self, build, name, threads, options):
        self.name = name
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith(('OMP_', 'GOMP_', 'KMP_', 'OPENBLAS_', 'BLIS_', 'MKL_', 'DNNL_', 'ONEDNN_',
                                            'GREGALE_'))}
        for variable in ('OMP', 'OPENBLAS', 'BLIS', 'MKL'):
            environment[variable + '_NUM_THREADS'] = str(threads)
        if name.endswith('_venv') and options.venv:
            environment['OCL_ICD_FILENAMES'] = os.path.join(options.venv, 'lib', 'libintelocl.so')
        processors = sorted(os.sched_getaffinity(0))
        self.process = subprocess.Popen(
            [os.path.join(build, 'peers', 'peer_' + name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL, text=True, env=environment,
            # PyPI's oneDNN counts processors instead of asking for a number of threads. The others move freely.
            preexec_fn=(lambda: os.sched_setaffinity(0, processors[-threads:])) if name == 'onednn_venv' else None)

    def ask(self, line):
        try:
            self.process.stdin.write((line if isinstance(line, str) else json.dumps(line)) + '\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ''
        if not answer:
            return {'refused': f'the process ended with status {self.process.wait()}'}
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def built(build):
    return [p for p in PEERS if os.path.exists(os.path.join(build, 'peers', 'peer_' + p))]


def start(build, names, threads, options):
    return {name: Worker(build, name, threads, options) for name in names}


def take_turns(workers, rounds):
    """Answers of every worker to `run`, in rounds; the order turns, so that nobody always follows the same one."""
    answers = {name: [] for name in workers}
    names = list(workers)
    for r in range(rounds):
        for name in names[r % len(names):] + names[:r % len(names)]:
            time.sleep(SETTLE)
            answers[name].append(workers[name].ask('run'))
    return answers


def rate_of(samples):
    """The median of the runs that no other program disturbed; where there are none the fastest, since disturbance only
    slows."""
    quiet = [s['gflops'] for s in samples if not s['disturbed']]
    return statistics.median(quiet) if quiet else max(s['gflops'] for s in samples)


def start_peaks(build, threads, options):
    peaks = {}
    for unit in ('fp32', 'bf16', 'amx_bf16'):
        worker = Worker(build, 'peak', threads, options)
        if worker.ask({'op': 'peak', 'unit': unit, 'threads': threads}).get('ready'):
            peaks[unit] = worker
        else:
            worker.close()
    return peaks


def measure(the_job, build, names, options):
    """One job by all libraries, with the ceilings measured in between."""
    threads = the_job['threads']
    workers = start(build, names, threads, options)
    peaks = start_peaks(build, threads, options)
    result = {'job': the_job, 'peers': {}, 'refused': {}, 'peaks': {}}
    ready = {}
    for name, worker in workers.items():
        answer = worker.ask(the_job)
        if answer.get('ready'):
            ready[name] = worker
            result['peers'][name] = answer
        else:
            result['refused'][name] = answer.get('refused', str(answer))
    together = dict(ready)
    together.update({'peak ' + unit: worker for unit, worker in peaks.items()})
    answers = take_turns(together, options.rounds)
    flops = 2.0 * the_job['m'] * the_job['n'] * the_job['k']
    for unit in peaks:
        result['peaks'][unit] = rate_of(answers['peak ' + unit])
    for name in ready:
        seconds = [a['seconds'] for a in answers[name] if 'seconds' in a]
        peer = result['peers'][name]
        if not seconds:
            result['refused'][name] = answers[name][0].get('refused', '?')
            del result['peers'][name]
            continue
        low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else (0, 0, 0)
        peer.update(seconds=seconds, spread=(high - low) / statistics.median(seconds), median_seconds=statistics.median(seconds),
                    gflops=flops / statistics.median(seconds) * 1e-9)
    unit, share = ceiling(the_job, result['peaks'])
    result['unit'] = unit
    for peer in result['peers'].values():
        peer['fraction_of_peak'] = peer['gflops'] / share if share else None
    gregale = result['peers'].get('gregale')
    rivals = {n: p for n, p in result['peers'].items() if n != 'gregale'}
    if gregale:
        for peer in rivals.values():
            peer['gregale_speedup'] = peer['median_seconds'] / gregale['median_seconds']
        among = {n: p for n, p in rivals.items() if n in SGEMM_RIVALS}
        if among:
            best = min(among, key=lambda n: among[n]['median_seconds'])
            result['best_rival'] = best
            result['speedup_over_best'] = among[best]['median_seconds'] / gregale['median_seconds']
    for worker in list(workers.values()) + list(peaks.values()):
        worker.close()
    return result


def ceiling(the_job, peaks):
    """The unit a product is held against, and its ceiling."""
    if the_job['dtype'] == 'fp32':
        return 'fp32', peaks.get('fp32')
    unit = 'amx_bf16' if 'amx_bf16' in peaks else 'bf16' if 'bf16' in peaks else None
    if unit is None:
        return 'fp32', peaks.get('fp32')
    if the_job['dtype'] == 'fp32x3':
        return unit + ' / 6', peaks[unit] / 6
    return unit, peaks[unit]


def label(the_job):
    m, n, k = the_job['m'], the_job['n'], the_job['k']
    size = f'{m}³' if m == n == k else f'{m}×{n}×{k}'
    return f"{the_job['dtype']} {size} {'packed' if the_job['packed'] else 'flat'}, " \
           f"{the_job['threads']} thread{'s' if the_job['threads'] > 1 else ''}"


def table(result):
    rows = [('library', 'Gflop/s', f"share of {result['unit']}", 'Gregale is', 'max error', 'says it used')]
    order = sorted(result['peers'], key=lambda n: result['peers'][n]['median_seconds'])
    for name in order:
        p = result['peers'][name]
        share = '' if p['fraction_of_peak'] is None else f"{100 * p['fraction_of_peak']:.0f}%"
        speedup = f"{p['gregale_speedup']:.2f}×" if 'gregale_speedup' in p else ''
        rows.append((title(name, p), f"{p['gflops']:.0f}", share, speedup, f"{p.get('max_error', math.nan):.1e}",
                     p['implementation']))
    return rows


def title(name, peer):
    titles = {'gregale': 'Gregale', 'onednn': 'oneDNN', 'openblas': 'OpenBLAS', 'blis': 'BLIS', 'libxsmm': 'libxsmm',
              'onednn_venv': 'oneDNN (PyPI)', 'mkl_venv': 'MKL (PyPI)'}
    version = peer['version'].replace('OpenBLAS ', '').split()[0]
    return f'{titles[name]} {version}'


def print_rows(rows):
    widths = [max(len(r[c]) for r in rows) for c in range(len(rows[0]))]
    for row in rows:
        print('  ' + '  '.join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def glass_jaws(build, threads, options):
    """Shapes against the same shape with every size rounded up to 32: Gregale alone, two processes in turn."""
    draw = random.Random(7)
    low, high = math.log(8), math.log(options.glass_jaw_size)
    results = []
    pair = [Worker(build, 'gregale', threads, options) for _ in range(2)]
    for i in range(options.glass_jaws):
        if options.uniform:
            sizes = [draw.randint(8, options.glass_jaw_size) for _ in range(3)]
        else:
            sizes = [int(round(math.exp(draw.uniform(low, high)))) for _ in range(3)]
        dtype, packed = ('bf16', 'fp32')[i % 2], i % 4 < 2
        whole = [(s + 31) // 32 * 32 for s in sizes]
        ready = [w.ask(dict(job(*s, dtype, packed, threads), check=False)) for w, s in zip(pair, (sizes, whole))]
        if not all(r.get('ready') for r in ready):
            results.append({'sizes': sizes, 'dtype': dtype, 'packed': packed, 'refused': str(ready)})
            continue
        seconds = [[], []]
        for r in range(5):
            for w in ((0, 1), (1, 0))[r % 2]:
                seconds[w].append(pair[w].ask('run')['seconds'])
        ratio = statistics.median(seconds[0]) / statistics.median(seconds[1])
        results.append({'sizes': sizes, 'dtype': dtype, 'packed': packed, 'ratio': ratio,
                        'implementation': ready[0]['implementation']})
        if sys.stderr.isatty():
            print(f'\r  {i + 1}/{options.glass_jaws}', end='', file=sys.stderr, flush=True)
    for worker in pair:
        worker.close()
    return {'threads': threads, 'shapes': results,
            'worst': sorted((r for r in results if 'ratio' in r), key=lambda r: -r['ratio'])[:10]}


def cpu_name():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor()


def markdown(document):
    lines = ['# Benchmarks', '',
             '<!-- Generated by bench/peers/peers.py --markdown; do not edit. -->', '',
             f"Measured on {document['date']}: {document['cpu']}, {document['cores']} cores. Each library in a process of "
             'its own, all of them',
             f"and the ceilings in turn, medians of {document['rounds']} rounds of at least 40 ms each. "
             '*Packed*: the weights were brought into the',
             "library's own layout beforehand, where it has one; *flat*: plain row-major operands, all packing is part of "
             'the time.',
             '*Gregale is* says how many times as fast Gregale was. The largest error is that of some elements against a '
             'product in f64.',
             'Where the task is fp32x3, the others ran their SGEMM. MKL writes bf16 products as fp32.', '']
    for result in document['results']:
        peaks = ', '.join(f"{unit} {value:.0f}" for unit, value in result['peaks'].items())
        lines += [f"## {label(result['job'])}", '', f'Ceilings in the same run (Gflop/s): {peaks}.', '']
        rows = table(result)
        lines.append('| ' + ' | '.join(rows[0]) + ' |')
        lines.append('|---|--:|--:|--:|--:|---|')
        lines += ['| ' + ' | '.join(cell.replace('|', '/') for cell in row) + ' |' for row in rows[1:]]
        if result['refused']:
            lines += ['', 'Not run: ' + '; '.join(f'{n} ({why})' for n, why in result['refused'].items()) + '.']
        lines.append('')
    jaws = document.get('glass_jaws')
    if jaws:
        ratios = [r['ratio'] for r in jaws['shapes'] if 'ratio' in r]
        lines += ['## Ragged sizes', '',
                  f"{len(ratios)} random shapes, sizes from 8 to {jaws['size']}, bf16 and fp32, packed and flat, "
                  f"{jaws['threads']} threads: time against the", 'same shape with every size rounded up to 32. '
                  f"Median {statistics.median(ratios):.2f}, worst {max(ratios):.2f}; above 1.15: "
                  f"{sum(r > 1.15 for r in ratios)}.", '', '| shape | | time against rounded up |', '|---|---|--:|']
        lines += [f"| {'×'.join(map(str, r['sizes']))} | {r['dtype']} {'packed' if r['packed'] else 'flat'} | "
                  f"{r['ratio']:.2f} |" for r in jaws['worst']]
        lines.append('')
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', help='build folder, e.g. build/release')
    parser.add_argument('--quick', action='store_true', help='a few small sizes')
    parser.add_argument('--only', default='', help='jobs whose label contains this')
    parser.add_argument('--peers', default='', help='comma-separated; default: all that were built')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument('--venv', default='', help='the virtual environment of GREGALE_PEERS_VENV (default: the one built with)')
    parser.add_argument('--glass-jaws', type=int, metavar='SHAPES', default=0, help='also ragged shapes (200 are meant)')
    parser.add_argument('--glass-jaw-size', type=int, default=5000)
    parser.add_argument('--uniform', action='store_true', help='ragged sizes drawn uniformly, not by their logarithm: slow')
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--markdown', metavar='FILE', help='write the page docs/benchmarks.md is')
    parser.add_argument('--verbose', action='store_true', help="show the libraries' standard error")
    options = parser.parse_args()
    if not options.venv:
        options.venv = venv_of(options.build)
    names = built(options.build)
    if options.peers:
        names = [n for n in names if n in options.peers.split(',')]
    if not names:
        sys.exit(f'peers.py: no programs in {options.build}/peers: configure with -D GREGALE_BENCH=ON and build')
    document = {'date': datetime.date.today().isoformat(), 'cpu': cpu_name(), 'cores': len(os.sched_getaffinity(0)),
                'rounds': options.rounds, 'results': []}
    for the_job in jobs_of(options.threads, options.quick):
        if options.only not in label(the_job):
            continue
        result = measure(the_job, options.build, names, options)
        document['results'].append(result)
        print(label(the_job) + ': ceilings ' + ', '.join(f'{u} {v:.0f}' for u, v in result['peaks'].items()))
        print_rows(table(result))
        if 'best_rival' in result:
            print(f"  {result['speedup_over_best']:.2f}× {result['best_rival']}, the best of {', '.join(SGEMM_RIVALS)}")
        for name, why in result['refused'].items():
            print(f'  {name}: {why}')
        noisy = [n for n, p in result['peers'].items() if p['spread'] > NOISY]
        if noisy:
            print(f"  runs of {', '.join(noisy)} differed by more than {100 * NOISY:.0f}%: is the machine idle?")
        print(flush=True)
    if options.glass_jaws:
        document['glass_jaws'] = glass_jaws(options.build, options.threads, options)
        document['glass_jaws']['size'] = options.glass_jaw_size
        print('ragged shapes, the worst:')
        for r in document['glass_jaws']['worst']:
            print(f"  {r['ratio']:.2f}  {'x'.join(map(str, r['sizes']))} {r['dtype']} {'packed' if r['packed'] else 'flat'}"
                  f"  {r['implementation']}")
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump(document, file, indent=1)
            file.write('\n')
    if options.markdown:
        with open(options.markdown, 'w', encoding='utf-8') as file:
            file.write(markdown(document))


def venv_of(build):
    try:
        with open(os.path.join(build, 'CMakeCache.txt'), encoding='utf-8') as file:
            for line in file:
                if line.startswith('GREGALE_PEERS_VENV:'):
                    return line.split('=', 1)[1].strip()
    except OSError:
        pass
    return ''


if __name__ == '__main__':
    main()
