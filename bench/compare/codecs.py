#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""`gregale compress` beside SZ3 and zfp, on five files of real fields at three relative bounds.

  bench/compare/codecs.py --program build/release/bin/gregale             # 15 rows, speeds, counts
  bench/compare/codecs.py --rivals-only --json rivals.json                # SZ3's and zfp's own curves
  bench/compare/codecs.py --export FOLDER                                 # the filled fields and masks, raw

Needs Debian's ferret-datasets, and numpy, netCDF4, pysz (SZ3), zfpy (zfp) and zstandard from PyPI.

What is compared. A case is a file and a bound relative to the range of a variable's valid values. A case's ratio is the bytes
of all its float variables, missing values included, over all bytes they compress to. PSNR is 20 log10(range / rms error) over
the valid values, by variable; a case's is their mean. Gregale's PSNR, error and missing values are measured on the file that
`gregale decompress` writes, not taken from the certificate.

How the rivals are helped. Neither knows missing values, and a fill value of 1e34 would ruin both. So missing points are filled
first, outside the timing, in four ways of which every rival takes the best for each variable and bound: neighbour averages that
spread from the valid points and then diffuse, in every horizontal slice ("flat"); the same, diffused in all dimensions ("deep",
which suits zfp); the mean everywhere ("mean", cheap at tight bounds where the missing points are scattered); and the last valid
value of the row ("hold", which suits the Lorenzo predictor). None of them is best everywhere, and the wrong one costs up to half.
What they need to put the missing values back is counted: the mask in packed bits, plain or XOR its predecessor slice, once if
all slices have the same, through the best of zlib, zstd and LZMA at their highest levels.

At equal PSNR: each variable's setting is found at which the rival is not worse than Gregale, within 0.02 dB. Where a rival jumps
over that window (zfp's tolerance acts in powers of two) its bits are interpolated between the two settings around it, linearly
against dB. At equal bound: the rival is given Gregale's bound, and its own PSNR is printed.

SZ3 has two columns. `SZ3` is the algorithm it defaults to, on the dimensions as stored. `tuned` is for every variable and bound
the best of the list below, that is other algorithms, interpolators, level-wise bounds, and dimensions merged, which beats its own
tuning by up to a factor of two: the better opponent, though one that nobody gets without a search. (All are tried once near the
target, and the most promising at equal PSNR.) zfp is given the same choice of dimensions. Speeds are of those settings, in
memory, one field at a time, one thread, as the wheels are built.
"""
import argparse
import importlib.metadata
import json
import lzma
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib

import netCDF4
import numpy
import pysz
import zfpy
import zstandard

FILES = {
    'etopo5.cdf': ('ROSE',),
    'levitus_climatology.cdf': ('TEMP', 'SALT'),
    'ocean_atlas_subset.nc': ('TEMP',),
    'monthly_navy_winds.cdf': ('UWND', 'VWND'),
    'coads_climatology.cdf': ('SST', 'AIRT', 'SPEH', 'WSPD', 'UWND', 'VWND', 'SLP'),
}
BOUNDS = (1e-2, 1e-3, 1e-4)
GRID = tuple(10 ** (-e / 4) for e in range(6, 21))  # of bounds for curves; every other one is printed
ZFP_GRID = tuple(2.0 ** -e for e in range(-3, 20))  # what acts is the power of two below the bound
SWEEPS = 500  # of diffusion over the missing points
WINDOW = 0.02  # dB
PROMISING = 6  # ways that are taken to equal PSNR


def neighbour_sum(field, axes):
    """Of the neighbours along `axes`; the edges repeat themselves."""
    total = numpy.zeros_like(field)
    for axis in axes:
        rows = numpy.moveaxis(field, axis, 0)
        sums = numpy.moveaxis(total, axis, 0)
        sums[1:] += rows[:-1]
        sums[:1] += rows[:1]
        sums[:-1] += rows[1:]
        sums[-1:] += rows[-1:]
    return total


def diffuse(field, missing, axes):
    for _ in range(SWEEPS):
        numpy.copyto(field, neighbour_sum(field, axes) / (2 * len(axes)), where=missing)


def fills(values, valid):
    """Ways to have values where there are none, by name."""
    if valid.all():
        return {'flat': values}
    flat = (-2, -1)
    known = valid.copy()
    field = numpy.where(known, values, 0).astype(numpy.float64)
    has_some = numpy.broadcast_to(known.any(axis=flat, keepdims=True), known.shape)
    while not known[has_some].all():
        weight = neighbour_sum(known.astype(numpy.float64), flat)
        fresh = ~known & (weight > 0)
        field[fresh] = neighbour_sum(field, flat)[fresh] / weight[fresh]
        known |= fresh
    field[~known] = field[valid].mean()
    diffuse(field, ~valid, flat)
    result = {'flat': field.astype(numpy.float32)}
    diffuse(field, ~valid, range(field.ndim))
    result['deep'] = field.astype(numpy.float32)
    result['mean'] = numpy.full(values.shape, values[valid].astype(numpy.float64).mean(), numpy.float32)
    columns = numpy.arange(values.shape[-1])
    last = numpy.maximum.accumulate(numpy.where(valid, columns, -1), axis=-1)
    first = numpy.minimum(numpy.minimum.accumulate(numpy.where(valid, columns, len(columns))[..., ::-1], axis=-1)[..., ::-1],
                          len(columns) - 1)
    held = numpy.take_along_axis(values, numpy.where(last >= 0, last, first), axis=-1)
    result['hold'] = numpy.where(valid.any(axis=-1, keepdims=True), held, result['mean'])
    return {name: numpy.where(valid, values, filled) for name, filled in result.items()}


def mask_bytes(valid):
    """The fewest bytes a general compressor makes of the mask."""
    if valid.all():
        return 0
    slices = valid.reshape(-1, *valid.shape[-2:])
    if (slices == slices[0]).all():
        slices = slices[:1]
    change = slices.copy()
    change[1:] ^= slices[:-1]
    fewest = math.inf
    for bits in (slices, change):
        packed = numpy.packbits(bits).tobytes()
        raw = lzma.compress(packed, lzma.FORMAT_RAW, filters=[{'id': lzma.FILTER_LZMA2, 'preset': 9 | lzma.PRESET_EXTREME}])
        fewest = min(fewest, len(zlib.compress(packed, 9)), len(zstandard.compress(packed, 19)), len(raw))
    return fewest


class Field:
    """A variable as the rivals get it, and what its reconstruction is measured against."""

    def __init__(self, folder, file, name):
        self.file, self.name = file, name
        with netCDF4.Dataset(os.path.join(folder, file)) as data:
            data.set_auto_maskandscale(False)
            variable = data.variables[name]
            self.values = numpy.ascontiguousarray(variable[:], dtype=numpy.float32)
            marks = [variable.getncattr(a) for a in ('missing_value', '_FillValue') if a in variable.ncattrs()]
        self.valid = numpy.isfinite(self.values)
        for value in numpy.concatenate([numpy.atleast_1d(f) for f in marks]).astype(numpy.float32) if marks else ():
            self.valid &= self.values != value
        self.fills = fills(self.values, self.valid)
        inside = self.values[self.valid]
        self.low, self.high = float(inside.min()), float(inside.max())
        self.range = self.high - self.low
        self.reference = inside.astype(numpy.float64)
        self.mask_bytes = mask_bytes(self.valid)

    def measure(self, restored):
        """PSNR, greatest error and rms of an array of the same number of values."""
        error = restored.reshape(self.values.shape)[self.valid] - self.reference
        rms = math.sqrt(float(numpy.mean(error * error)))
        return {'psnr': 20 * math.log10(self.range / rms) if rms > 0 else math.inf, 'max_error': float(abs(error).max()), 'rms': rms}

    def shapes(self):
        """As stored first, then with dimensions merged."""
        shape = self.values.shape
        result = [shape]
        if len(shape) == 4:
            result += [(shape[0] * shape[1], *shape[2:]), (shape[0], shape[1] * shape[2], shape[3])]
        if len(shape) > 2:
            result.append((int(numpy.prod(shape[:-1])), shape[-1]))
        return result


def shape_name(shape):
    return 'x'.join(map(str, shape))


class Sz3:
    """One way to use SZ3."""

    def __init__(self, name, fill, shape, algorithm, **options):
        self.name, self.fill, self.shape = f'{name} {shape_name(shape)} {fill}', fill, shape
        self.tunes = name == 'default'
        lines = ['[GlobalSettings]', f'CmprAlgo = {algorithm}', 'ErrorBoundMode = ABS', '[AlgoSettings]']
        self.text = '\n'.join(lines + [f'{key} = {value}' for key, value in options.items()]) + '\n'

    def configuration(self, bound):
        """Through a file, which is the only door to most options."""
        config = pysz.szConfig()
        with tempfile.NamedTemporaryFile('w', suffix='.ini') as file:
            file.write(self.text)
            file.flush()
            config.loadcfg(file.name)
        config.absErrorBound = bound
        return config

    def encoder(self, field, bound):
        values, config = field.fills[self.fill].reshape(self.shape), self.configuration(bound)
        return lambda: pysz.sz.compress(values, config)[0]

    def decoder(self, stream):
        return lambda: pysz.sz.decompress(stream, numpy.float32, self.shape)[0]

    @staticmethod
    def default(field):
        return [Sz3('default', name, field.values.shape, 'ALGO_INTERP_LORENZO') for name in field.fills]

    @staticmethod
    def all(field):
        """The default, and what was best somewhere in a search over five times as many."""
        ways = Sz3.default(field)
        for name in field.fills:
            for shape in field.shapes():
                if shape != field.values.shape:
                    ways.append(Sz3('default', name, shape, 'ALGO_INTERP_LORENZO'))
                for second, regression in (('No', 'No'), ('Yes', 'No'), ('No', 'Yes')):
                    label = 'lorenzo 1' + ('+2' if second == 'Yes' else '') + ('+regression' if regression == 'Yes' else '')
                    ways.append(Sz3(label, name, shape, 'ALGO_LORENZO_REG', Lorenzo='Yes', Lorenzo2ndOrder=second, Regression=regression))
                for kind in ('linear', 'cubic'):
                    for alpha, beta in ((1, 1), (1.25, 2), (1.75, 2), (1.5, 3), (2, 3)):
                        for direction in (0, math.factorial(len(shape)) - 1)[:1 if len(shape) < 3 else 2]:
                            ways.append(Sz3(f"{kind} {alpha}/{beta}{' reversed' if direction else ''}", name, shape, 'ALGO_INTERP',
                                            InterpolationAlgo=f'INTERP_ALGO_{kind.upper()}', InterpolationDirection=direction,
                                            InterpolationAlpha=alpha, InterpolationBeta=beta, InterpolationAnchorStride=0))
        return ways


class Zfp:
    """zfp with fixed accuracy."""

    tunes = False

    def __init__(self, fill, shape):
        self.name, self.fill, self.shape = f'zfp {shape_name(shape)} {fill}', fill, shape

    def encoder(self, field, bound):
        values = field.fills[self.fill].reshape(self.shape)
        return lambda: zfpy.compress_numpy(values, tolerance=bound)

    def decoder(self, stream):
        return lambda: zfpy.decompress_numpy(stream)

    @staticmethod
    def all(field):
        return [Zfp(name, shape) for shape in field.shapes() for name in field.fills]


def run(way, field, bound):
    """One setting's bytes (mask included) and errors."""
    stream = way.encoder(field, bound)()
    # A copy, as SZ3's stream is a view of a buffer greater than itself.
    stream = stream.copy() if isinstance(stream, numpy.ndarray) else stream
    point = field.measure(way.decoder(stream)())
    return {'way': way.name, 'bound': bound, 'bytes': len(stream) + field.mask_bytes, **point}


def at_psnr(way, field, target, start):
    """The fewest bytes at `target` dB: the bound that hits the window, or interpolated between the nearest outside it."""
    above = below = best = None
    bound = start
    for _ in range(12):
        point = run(way, field, bound)
        if point['psnr'] >= target:
            best = point if best is None or point['bytes'] < best['bytes'] else best
            above = point if above is None or bound > above['bound'] else above
        else:
            below = point if below is None or bound < below['bound'] else below
        if 0 <= point['psnr'] - target <= WINDOW:
            break
        if above and below:
            if above['bound'] >= below['bound'] or below['bound'] / above['bound'] < 1.001:
                break
            weight = (above['psnr'] - target - WINDOW / 2) / (above['psnr'] - below['psnr'])
            weight = min(max(weight, 0.1), 0.9)
            if isinstance(way, Zfp):
                if below['bound'] / above['bound'] <= 2:
                    break
                weight = 0.5
            bound = above['bound'] * (below['bound'] / above['bound']) ** weight
        elif isinstance(way, Zfp):
            bound *= 2 if above else 0.5
        else:
            step = (point['psnr'] - target - WINDOW / 2) / 20
            bound *= 10 ** max(min(1.1 * step, 1), -1)
        if bound > field.range:
            break
    if above is None:
        return None
    if best is not above and best['bytes'] < above['bytes']:
        above = best
    if above['psnr'] - target > WINDOW and below and below['bytes'] < above['bytes']:
        weight = (above['psnr'] - target) / (above['psnr'] - below['psnr'])
        between = (1 - weight) * above['bytes'] + weight * below['bytes']
        return {**above, 'bytes': min(between, best['bytes']), 'psnr': target, 'interpolated': True}
    return above


def promising(ways, field, target, start, count):
    """Those of them that should take the fewest bytes at `target` dB, judged by one run of each."""
    coarse, fine = run(ways[0], field, start), run(ways[0], field, start / 2)
    slope = math.log(fine['bytes'] / coarse['bytes']) / (fine['psnr'] - coarse['psnr'])

    def estimate(way):
        point = run(way, field, start)
        return math.log(point['bytes']) + slope * (target - point['psnr'])

    return sorted(ways, key=estimate)[:count] if len(ways) > count else ways


def best_at_psnr(ways, field, target, start):
    """The best of them at `target` dB. SZ3's own tuning falls out differently from one bound to the next, by 10 % of the bytes on
    small fields, so that finer bounds nearby are tried too."""
    found = {way.name: at_psnr(way, field, target, start) for way in promising(ways, field, target, start, PROMISING)}
    points = [point for point in found.values() if point]
    for way in ways:
        if way.tunes and found.get(way.name):
            finer = [run(way, field, found[way.name]['bound'] * 0.99 ** i) for i in range(1, 9)]
            points += [point for point in finer if point['psnr'] >= target]
    return min(points, key=lambda point: point['bytes'])


def fewest_bytes(ways, field, bound):
    return min((run(way, field, bound) for way in ways), key=lambda point: point['bytes'])


def quiet(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Program:
    """Gregale, as its user runs it."""

    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch

    def compress(self, file, bound):
        out = os.path.join(self.scratch, 'compressed.nc')
        command = [self.options.program, 'compress', '--rel', repr(bound), os.path.join(self.options.data, file), out, '--json', '--quiet']
        if self.options.threads:
            command += ['--threads', str(self.options.threads)]
        return json.loads(quiet(command))['variables'], out

    def restore(self, compressed, field):
        """Its errors, from the file that decompress wrote; complains where missing values are not what they were."""
        out = os.path.join(self.scratch, 'restored.nc')
        if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(compressed):
            quiet([self.options.program, 'decompress', compressed, out, '--quiet'])
        with netCDF4.Dataset(out) as data:
            data.set_auto_maskandscale(False)
            values = numpy.ascontiguousarray(data.variables[field.name][:], dtype=numpy.float32)
        if (values.view(numpy.uint32) != field.values.view(numpy.uint32))[~field.valid].any():
            print(f'{field.file} {field.name}: MISSING VALUES CHANGED')
        return field.measure(values)

    def copy_gbs(self):
        return json.loads(quiet([self.options.program, 'machine', '--json', '--fresh', '--quiet']))['copy_gbs']['all_threads']


def ratio(fields, byte_counts):
    return sum(field.values.nbytes for field in fields) / sum(byte_counts)


def seconds(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def measure_case(program, fields, bound, options):
    """A row: qualities and sizes, then speeds in alternating runs."""
    certificate, compressed = program.compress(fields[0].file, bound)
    row = {'file': fields[0].file, 'bound': bound, 'variables': {}}
    chosen = {}
    for field in fields:
        said = certificate[field.name]
        absolute = bound * field.range
        ours = {'bytes': said.get('bytes_out', field.values.nbytes / said['ratio']), 'codec': said['codec'], **program.restore(compressed, field)}
        if ours['max_error'] > absolute * (1 + 1e-12):
            print(f"{field.file} {field.name} {bound:g}: BOUND BROKEN: {ours['max_error']:.9g} > {absolute:.9g}")
        if abs(said['rms'] - ours['rms']) > 1e-3 * ours['rms']:
            print(f"{field.file} {field.name} {bound:g}: the certificate's rms {said['rms']:.6g} is not {ours['rms']:.6g}")
        default = Sz3.default(field)
        ways = Sz3.all(field)
        zfps = Zfp.all(field)
        points = {
            'gregale': ours,
            'sz3': best_at_psnr(default, field, ours['psnr'], absolute),
            'sz3_tuned': best_at_psnr(ways, field, ours['psnr'], absolute),
            'zfp': best_at_psnr(zfps, field, ours['psnr'], absolute),
            'sz3_equal_bound': fewest_bytes(default, field, absolute),
            'zfp_equal_bound': fewest_bytes(zfps, field, absolute),
        }
        row['variables'][field.name] = points
        names = {way.name: way for way in ways + zfps}
        chosen[field.name] = [(rival, names[points[rival]['way']], points[rival]['bound']) for rival in ('sz3', 'sz3_tuned', 'zfp')]
    total = sum(field.values.nbytes for field in fields)
    times = {}
    for _ in range(options.runs):
        certificate, _ = program.compress(fields[0].file, bound)
        spent = {}
        for field in fields:
            said = certificate[field.name]
            for key in ('encode', 'decode'):
                name = ('gregale', key)
                spent[name] = spent.get(name, 0) + field.values.nbytes * 1e-9 / said[f'{key}_gbs']
            for rival, way, setting in chosen[field.name]:
                encode, stream = seconds(way.encoder(field, setting))
                decode, _ = seconds(way.decoder(stream))
                spent[rival, 'encode'] = spent.get((rival, 'encode'), 0) + encode
                spent[rival, 'decode'] = spent.get((rival, 'decode'), 0) + decode
        for name, value in spent.items():
            times.setdefault(name, []).append(value)
    row['speed_gbs'] = {f'{who}_{what}': total * 1e-9 / statistics.median(values) for (who, what), values in times.items()}
    for key in ('gregale', 'sz3', 'sz3_tuned', 'zfp', 'sz3_equal_bound', 'zfp_equal_bound'):
        points = [row['variables'][field.name][key] for field in fields]
        row[key] = {'ratio': ratio(fields, [p['bytes'] for p in points]), 'psnr': statistics.mean(p['psnr'] for p in points)}
    return row


def compare(options):
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        program = Program(options, scratch)
        copies = [program.copy_gbs()]
        for file, names in FILES.items():
            fields = [Field(options.data, file, name) for name in names]
            for bound in BOUNDS:
                rows.append(measure_case(program, fields, bound, options))
                row = rows[-1]
                print(f"{file} {bound:g}: {row['gregale']['ratio']:.2f}, SZ3 {row['sz3']['ratio']:.2f}, tuned {row['sz3_tuned']['ratio']:.2f}, "
                      f"zfp {row['zfp']['ratio']:.2f} at {row['gregale']['psnr']:.2f} dB", file=sys.stderr, flush=True)
        copies.append(program.copy_gbs())
    copy = max(copies)
    print('| file | bound | dB | Gregale | SZ3 | SZ3 tuned | zfp | SZ3 at the bound (dB) | zfp at the bound (dB) |')
    print('|---|---|---|---|---|---|---|---|---|')
    for row in rows:
        print(f"| {row['file']} | {row['bound']:g} | {row['gregale']['psnr']:.2f} | {row['gregale']['ratio']:.2f} | {row['sz3']['ratio']:.2f} | "
              f"{row['sz3_tuned']['ratio']:.2f} | {row['zfp']['ratio']:.2f} | {row['sz3_equal_bound']['ratio']:.2f} "
              f"({row['sz3_equal_bound']['psnr']:.2f}) | {row['zfp_equal_bound']['ratio']:.2f} ({row['zfp_equal_bound']['psnr']:.2f}) |")
    print(f'\nSpeeds, GB/s of input; copy bandwidth (all threads, read + written) {copies[0]:.1f} before and {copies[1]:.1f} after.\n')
    print('| file | bound | encode | of copy | SZ3 | SZ3 tuned | zfp | decode | of copy | SZ3 | SZ3 tuned | zfp |')
    print('|---|---|---|---|---|---|---|---|---|---|---|---|')
    for row in rows:
        cells = []
        for what in ('encode', 'decode'):
            ours = row['speed_gbs'][f'gregale_{what}']
            cells += [f'{ours:.3f}', f'{100 * ours / copy:.1f} %']
            cells += [f"{row['speed_gbs'][f'{rival}_{what}']:.3f}" for rival in ('sz3', 'sz3_tuned', 'zfp')]
        print(f"| {row['file']} | {row['bound']:g} | {' | '.join(cells)} |")
    print()
    for rival, words in (('sz3', 'SZ3'), ('sz3_tuned', 'tuned SZ3'), ('zfp', 'zfp')):
        count = sum(row['gregale']['ratio'] >= row[rival]['ratio'] for row in rows)
        print(f"ratio >= {words} in {count} of {len(rows)}")
    for what, least in (('encode', 1.5), ('decode', 3.0)):
        count = sum(100 * row['speed_gbs'][f'gregale_{what}'] >= least * copy for row in rows)
        print(f'{what} >= {least:g} % of the copy bandwidth in {count} of {len(rows)}')
    return {'copy_gbs': copies, 'rows': rows}


def curves(options):
    """SZ3's and zfp's points over a grid of bounds, and the fewest bits of any way over a grid of dB."""
    document = {'versions': versions(), 'fields': {}}
    print('| variable | bound | SZ3: bits | dB | SZ3 tuned, same dB: bits | by | zfp at the bound: bits | dB | zfp, SZ3\'s dB: bits | by |')
    print('|---|---|---|---|---|---|---|---|---|---|')
    for file, names in FILES.items():
        for name in names:
            field = Field(options.data, file, name)
            count = field.values.size
            entry = {'shape': field.values.shape, 'range': field.range, 'values': count, 'valid': int(field.valid.sum()),
                     'mask_bits': field.mask_bytes * 8 / count}
            for rival, ways in (('sz3', Sz3.all(field)), ('zfp', Zfp.all(field))):
                entry[rival] = {}
                if rival == 'sz3':
                    names_kept = {way.name for way in Sz3.default(field)}
                    for rel in BOUNDS:
                        target = 20 * math.log10(math.sqrt(3) / rel)  # errors spread evenly up to the bound
                        names_kept |= {way.name for way in promising(ways, field, target, rel * field.range, PROMISING)}
                    ways = [way for way in ways if way.name in names_kept]
                for way in ways:
                    points = []
                    for rel in GRID if rival == 'sz3' else ZFP_GRID:
                        point = run(way, field, rel * field.range)
                        points.append({'rel': rel, 'bits': point['bytes'] * 8 / count, 'psnr': point['psnr'],
                                       'max_over_bound': point['max_error'] / point['bound']})
                    entry[rival][way.name] = points
                entry[f'{rival}_envelope'] = envelope(entry[rival])
            document['fields'][f'{file}.{name}'] = entry
            defaults = {way.name: entry['sz3'][way.name] for way in Sz3.default(field)}
            for i in range(0, len(GRID), 2):
                point = min((points[i] for points in defaults.values()), key=lambda p: p['bits'])
                tuned, way = least_bits(entry['sz3'], point['psnr'])
                zfp_here = fewest_bytes(Zfp.all(field), field, point['rel'] * field.range)
                zfp_same, zfp_way = least_bits(entry['zfp'], point['psnr'])
                print(f"| {file}.{name} | {point['rel']:.3g} | {point['bits']:.3f} | {point['psnr']:.2f} | {tuned:.3f} | {way} | "
                      f"{zfp_here['bytes'] * 8 / count:.3f} | {zfp_here['psnr']:.2f} | {zfp_same:.3f} | {zfp_way[4:]} |", flush=True)
    return document


def least_bits(ways, target):
    """Of any way at `target` dB, linear between neighbouring points; nan where none gets there."""
    fewest, by = math.nan, ''
    for name, points in ways.items():
        bits = math.inf
        for a, b in zip(points, points[1:]):
            if min(a['psnr'], b['psnr']) <= target <= max(a['psnr'], b['psnr']):
                weight = (target - a['psnr']) / (b['psnr'] - a['psnr']) if b['psnr'] != a['psnr'] else 0
                bits = min(bits, a['bits'] + weight * (b['bits'] - a['bits']))
        bits = min([bits] + [p['bits'] for p in points if p['psnr'] >= target])
        if bits < math.inf and not bits >= fewest:
            fewest, by = bits, name
    return fewest, by


def envelope(ways):
    result = []
    for target in numpy.arange(30, 110.1, 2.5):
        bits, by = least_bits(ways, float(target))
        if not math.isnan(bits):
            result.append({'psnr': float(target), 'bits': bits, 'way': by})
    return result


def versions():
    return {name: importlib.metadata.version(name) for name in ('numpy', 'netCDF4', 'pysz', 'zfpy', 'zstandard')}


def export(options):
    os.makedirs(options.export, exist_ok=True)
    index = {}
    for file, names in FILES.items():
        for name in names:
            field = Field(options.data, file, name)
            key = f'{file}.{name}'
            field.fills['flat'].astype('<f4').tofile(os.path.join(options.export, f'{key}.f32'))
            field.valid.astype('u1').tofile(os.path.join(options.export, f'{key}.mask'))
            missing = field.values[~field.valid]
            index[key] = {'file': file, 'variable': name, 'shape': field.values.shape, 'min': field.low, 'max': field.high,
                          'range': field.range, 'values': field.values.size, 'valid': int(field.valid.sum()),
                          'missing_value': float(missing[0]) if missing.size else None, 'mask_bytes': field.mask_bytes}
    with open(os.path.join(options.export, 'index.json'), 'w', encoding='utf-8') as out:
        json.dump(index, out, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build/ci/bin/gregale')
    parser.add_argument('--data', default='/usr/share/ferret-vis/data', help="ferret-datasets' folder")
    parser.add_argument('--runs', type=int, default=7, help='of the timing')
    parser.add_argument('--threads', type=int, help="of Gregale's (default: its own)")
    parser.add_argument('--rivals-only', action='store_true', help="prints SZ3's and zfp's curves")
    parser.add_argument('--export', metavar='FOLDER', help='writes filled fields (FILE.VAR.f32), masks (.mask) and index.json')
    parser.add_argument('--json', metavar='FILE', help='writes every figure')
    options = parser.parse_args()
    if options.export:
        return export(options)
    document = curves(options) if options.rivals_only else compare(options)
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as out:
            json.dump(document, out, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
