#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Runs ONNX networks that others trained in Gregale and in ONNX Runtime: compares their outputs and, with --speed, their times.

networks.json beside this script lists the networks, their inputs and what counts as equal. ONNX Runtime, and what makes the
networks of random weights, come from PyPI, in a virtual environment of their own:
  python3 -m venv DIR && DIR/bin/pip install numpy onnx onnxscript onnxruntime torch torchvision transformers
  bench/compare/onnx_networks.py build/release --venv DIR --models FOLDER
  bench/compare/onnx_networks.py build/release --venv DIR --models FOLDER --speed --json networks.json --markdown networks.md

Models that FOLDER lacks are taken out of their packages, which pip downloads into it, and checked against the list. Both get
the same inputs, ONNX Runtime all its optimisations. For --speed each round times both once, in turn: ONNX Runtime in a
process that stays alive, Gregale by `gregale bench model`, which takes drawn floating-point inputs by their shape and those
whose values decide what is computed (indices, masks, rates) as files. A ratio is one of medians, ONNX Runtime over Gregale:
above 1, Gregale is faster. Networks that fail the comparison are not timed.
The times need an idle machine; the script itself needs no packages.
"""
import argparse
import datetime
import fnmatch
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

from models import NOISY, SETTLE, Worker, cpu_name, environment_of, timed

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'networks.json')
PATIENCE = 900  # seconds for one run of either
DRAWN = ('normal', 'uniform', 'glyphs')  # inputs whose values do not decide what is computed


# ---- models: taken out of packages, or exported ---------------------------------------------------------------------

def fetch(network, options):
    """The model's path, after whatever it takes to have it."""
    path = os.path.join(options.models, network['name'] + '.onnx')
    if 'maker' in network:
        if not os.path.exists(path):
            subprocess.run([python_of(options), os.path.abspath(__file__), '--export', network['maker'], path], check=True,
                           stdout=None if options.verbose else subprocess.DEVNULL,
                           stderr=None if options.verbose else subprocess.DEVNULL)
        return path
    if not os.path.exists(path):
        folder = os.path.join(options.models, 'packages', network['package'])
        if not os.path.isdir(folder) or not os.listdir(folder):
            subprocess.run([python_of(options), '-m', 'pip', '--quiet', '--disable-pip-version-check', 'download', '--no-deps',
                            '--only-binary', ':all:', '--dest', folder, network['package']], check=True)
        with zipfile.ZipFile(os.path.join(folder, os.listdir(folder)[0])) as package:
            content = package.read(network['path'])
        with open(path, 'wb') as file:
            file.write(content)
    with open(path, 'rb') as file:
        if hashlib.sha256(file.read()).hexdigest() != network['sha256']:
            raise RuntimeError(f'{path} is not the file of the list: delete it to have it downloaded')
    return path


def python_of(options):
    return os.path.join(options.venv, 'bin', 'python')


def quantise(path):
    """The ResNet with 8-bit activations and weights around every contraction (QDQ), calibrated on noise."""
    import numpy
    from onnxruntime import quantization

    class Noise(quantization.CalibrationDataReader):
        def __init__(self):
            random = numpy.random.default_rng(0)
            self.images = iter([random.standard_normal((1, 3, 224, 224)).astype('f4') for _ in range(8)])

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {'x': image}

    with tempfile.TemporaryDirectory() as folder:
        wide = os.path.join(folder, 'wide.onnx')
        export('resnet50', wide)
        quantization.quantize_static(wide, path, Noise(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                     activation_type=quantization.QuantType.QUInt8,
                                     weight_type=quantization.QuantType.QInt8)


def export(maker, path):
    """Run by the Python of the virtual environment."""
    if maker == 'resnet50_int8':
        quantise(path)
        return
    import torch
    torch.manual_seed(0)
    if maker == 'resnet50':
        import torchvision
        model = torchvision.models.resnet50(weights=None)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the plain average of what passes
        with torch.no_grad():
            model(torch.randn(8, 3, 224, 224))
        example, names = (torch.randn(2, 3, 224, 224),), ['x']
        shapes = ({0: torch.export.Dim('batch')},)
        outputs = ['y']
    else:
        import transformers
        model = transformers.BertModel(transformers.BertConfig())
        names = ['input_ids', 'attention_mask', 'token_type_ids']
        example = (torch.randint(30522, (2, 48)), torch.ones(2, 48, dtype=torch.int64), torch.zeros(2, 48, dtype=torch.int64))
        shapes = ({0: torch.export.Dim('batch'), 1: torch.export.Dim('length')},) * 3
        outputs = ['last_hidden_state', 'pooler_output']
    torch.onnx.export(model.eval(), example, path, dynamo=True, external_data=False, input_names=names, output_names=outputs,
                      dynamic_shapes=shapes)


# ---- the worker: ONNX Runtime, run by the Python of the virtual environment -----------------------------------------

def glyphs(random, shape, size):
    """True where there is ink: lines of random characters."""
    import numpy
    height, width = shape[-2:]
    lines, columns = height // (9 * size), width // (6 * size)
    dots = numpy.zeros((lines, 9, columns, 6), bool)
    dots[:, 1:8, :, :5] = random.random((lines, 7, columns, 5)) < 0.5
    page = numpy.zeros((height, width), bool)
    ink = numpy.kron(dots.reshape(9 * lines, 6 * columns), numpy.ones((size, size), bool))
    page[:ink.shape[0], :ink.shape[1]] = ink
    return numpy.broadcast_to(page, shape)


def draw(random, spec):
    import numpy
    shape, make = spec['shape'], spec['make']
    if make == 'normal':
        values = spec['scale'] * random.standard_normal(shape)
    elif make == 'uniform':
        values = random.uniform(spec['low'], spec['high'], shape)
    elif make == 'integers':
        values = random.integers(spec['low'], spec['high'], shape)
    elif make == 'constant':
        values = numpy.full(shape, spec['value'])
    elif make == 'prefix':
        values = numpy.arange(shape[1]) < numpy.array(spec['lengths'])[:, None]
    elif make == 'glyphs':
        values = numpy.where(glyphs(random, shape, spec['size']), spec['low'], spec['high'])
    else:
        raise ValueError(f'networks.json: no values are made by {make}')
    return numpy.asarray(values, dtype=spec['dtype'], order='C')


def file_of(output):
    return output.replace('/', '_').replace(':', '_') + '.npy'


def compare(expected, folder, rtol, atol, rms):
    """What differs, output by output: 'ratio' is the difference over what is allowed."""
    import numpy
    rows = []
    for name, truth in expected.items():
        row = {'name': name, 'shape': list(truth.shape), 'dtype': str(truth.dtype)}
        rows.append(row)
        path = os.path.join(folder, file_of(name))
        if not os.path.exists(path):
            row['wrong'] = 'not written'
            continue
        result = numpy.load(path)
        if result.shape != truth.shape or result.dtype != truth.dtype:
            row['wrong'] = f'{result.dtype} {list(result.shape)}, not {truth.dtype} {list(truth.shape)}'
            continue
        if truth.dtype.kind != 'f':
            count = int((result != truth).sum())
            row['ratio'] = 0.0 if count == 0 else float('inf')
            if count:
                row['wrong'] = f'{count} of {truth.size} elements differ'
            continue
        a, b = result.astype('f8'), truth.astype('f8')
        same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
        if not (numpy.isfinite(a) & numpy.isfinite(b) | same).all():
            row['wrong'] = 'not finite where ONNX Runtime is, or the other way around'
            continue
        a, b = a[~same], b[~same]
        finite = numpy.abs(truth[numpy.isfinite(truth)].astype('f8'))
        largest = float(finite.max()) if finite.size else 0.0
        squares = float((finite * finite).sum())
        difference = numpy.abs(a - b)
        row['max_abs'] = float(difference.max()) if difference.size else 0.0
        row['max_rel'] = row['max_abs'] / largest if largest else 0.0
        row['rms'] = float(((difference ** 2).sum() / squares) ** 0.5) if squares else row['max_abs']
        if rms is not None:
            row['ratio'] = row['rms'] / rms
        else:
            allowed = atol * min(1.0, largest or 1.0) + rtol * numpy.abs(b)
            row['ratio'] = float((difference / allowed).max()) if difference.size else 0.0
        if not row['ratio'] <= 1.0:
            row['wrong'] = f"differs by {row['max_abs']:.3g} ({row['ratio']:.3g} of what is allowed)"
    return rows


def work():
    """Answers one line of JSON for each: first the job, then 'compare FOLDER' or 'run' as often as wanted."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever libraries print

    def answer(document):
        print(json.dumps(document), file=answers, flush=True)

    job = json.loads(sys.stdin.readline())
    network = job['network']
    try:
        import numpy
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job['threads']
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(job['model'], options, ['CPUExecutionProvider'])
        random, inputs, files = numpy.random.default_rng(job['seed']), {}, {}
        for name, spec in network['inputs'].items():
            inputs[name] = draw(random, spec)
            files[name] = os.path.join(job['folder'], f'input-{len(files)}.npy')
            numpy.save(files[name], inputs[name])
        names = [output.name for output in session.get_outputs()]
        expected = dict(zip(names, map(numpy.asarray, session.run(names, inputs))))
        binding = session.io_binding()
        for name, values in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(values))
        for name in names:
            binding.bind_output(name)
        run = lambda: session.run_with_iobinding(binding)
        try:
            run()
            run()  # into the result of the first
        except Exception:  # the file declares a shape that its output does not have: only a binding insists on it
            run = lambda: session.run(names, inputs)
        answer({'ready': True, 'version': onnxruntime.__version__, 'files': files})
        for line in sys.stdin:
            order, _, folder = line.strip().partition(' ')
            if order == 'compare':
                answer({'outputs': compare(expected, folder, job['rtol'], job['atol'], network.get('rms'))})
            else:
                answer({'seconds': timed(run, 0.1),
                        'peak_rss_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    except Exception as error:  # whatever goes wrong in the library is its result
        lines = str(error).strip().splitlines() or ['']
        answer({'refused': f'{type(error).__name__}: {lines[0][:300]}'})


# ---- the driver -----------------------------------------------------------------------------------------------------

class Gregale:
    def __init__(self, network, model, files, options):
        self.network, self.model, self.files, self.options = network, model, files, options
        self.environment = dict(environment_of(options.threads), XDG_CACHE_HOME=options.cache)
        self.by_shape = False  # also inputs whose values matter

    def call(self, *arguments):
        command = [os.path.join(self.options.build, 'bin', 'gregale'), *arguments, '--json', '--quiet', '--threads',
                   str(self.options.threads)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None, f'took more than {PATIENCE} s'
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f'ended with status {done.returncode}']
            return done.returncode, lines[-1][:400]
        return 0, json.loads(done.stdout)

    def run(self, folder):
        """Why it did not run, or nothing."""
        given = [part for name, file in self.files.items() for part in ('--input', f'{name}={file}')]
        status, answer = self.call('run', self.model, *given, '-o', folder)
        return None if status == 0 else answer

    def ask(self, order):
        given = []
        for name, spec in self.network['inputs'].items():
            if spec['make'] in DRAWN or self.by_shape:
                given += ['--input-shape', f"{name}={'x'.join(str(extent) for extent in spec['shape'])}"]
            else:
                given += ['--input', f'{name}={self.files[name]}']
        status, answer = self.call('bench', 'model', self.model, '--precision', 'fp32', *given)
        if status == 2 and not self.by_shape and '--input' in given:  # a program that takes shapes only
            self.by_shape = True
            return self.ask(order)
        if status != 0:
            return {'refused': answer}
        return {'seconds': answer['median_seconds'], 'peak_rss_bytes': answer.get('peak_rss_bytes')}


def race(ours, worker, rounds):
    """Each round has both once; who begins alternates."""
    racers = {'gregale': ours, 'onnxruntime': worker}
    answers = {name: [] for name in racers}
    first = ours.ask('run')  # finds out whether it runs at all, and tunes
    if 'refused' in first:
        return {'refused': first['refused']}
    for r in range(rounds):
        for name in list(racers)[::1 if r % 2 == 0 else -1]:
            time.sleep(SETTLE)
            answer = racers[name].ask('run')
            if 'seconds' not in answer:
                return {'refused': f"{name}: {answer.get('refused', '?')}"}
            answers[name].append(answer)
    speed = {}
    for name, rows in answers.items():
        seconds = [row['seconds'] for row in rows]
        low, _, high = statistics.quantiles(seconds, n=4) if rounds > 1 else (0, 0, 0)
        median = statistics.median(seconds)
        speed[name] = {'seconds': seconds, 'median_seconds': median, 'spread': (high - low) / median,
                       'peak_rss_bytes': rows[-1]['peak_rss_bytes']}
    speed['ratio'] = speed['onnxruntime']['median_seconds'] / speed['gregale']['median_seconds']
    speed['by_shape'] = ours.by_shape
    return speed


def measure(network, document, options):
    result = {'name': network['name'], 'kind': network['kind'], 'package': network.get('package'), 'passed': False}
    try:
        model = fetch(network, options)
    except (subprocess.CalledProcessError, RuntimeError, OSError, KeyError, zipfile.BadZipFile) as error:
        result['wrong'] = f'no model: {error}'
        return result
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker('onnxruntime', options, __file__)
        try:
            answer = worker.ask(json.dumps({'network': network, 'model': model, 'folder': folder, 'threads': options.threads,
                                            'seed': document['seed'], 'rtol': document['rtol'], 'atol': document['atol']}))
            if 'ready' not in answer:
                result['wrong'] = f"ONNX Runtime: {answer.get('refused', '?')}"
                return result
            result['onnxruntime'] = answer['version']
            ours = Gregale(network, model, answer['files'], options)
            outputs = os.path.join(folder, 'outputs')
            os.mkdir(outputs)
            refusal = ours.run(outputs)
            if refusal:
                result['wrong'] = refusal
                return result
            answer = worker.ask('compare ' + outputs)
            if 'outputs' not in answer:
                result['wrong'] = answer.get('refused', '?')
                return result
            result['outputs'] = answer['outputs']
            wrong = [f"{row['name']}: {row['wrong']}" for row in answer['outputs'] if 'wrong' in row]
            if wrong:
                result['wrong'] = '; '.join(wrong)
                return result
            result['passed'] = True
            if options.speed:
                result['speed'] = race(ours, worker, options.rounds)
        finally:
            worker.close()
    return result


def verdict(result):
    return 'equal' if result['passed'] else 'NOT EQUAL' if 'outputs' in result else 'not run'


def worst(result, key):
    values = [row[key] for row in result.get('outputs', []) if key in row]
    return f'{max(values):.2g}' if values else ''


def geometric_means(results):
    means = {}
    for label, select in {'networks others trained': lambda r: r['package'], 'exported networks': lambda r: not r['package'],
                          'all': lambda r: True}.items():
        ratios = [r['speed']['ratio'] for r in results if select(r) and 'ratio' in r.get('speed', {})]
        if ratios:
            means[label] = {'ratio': statistics.geometric_mean(ratios), 'count': len(ratios)}
    return means


def comparison_table(results):
    rows = [('network', 'kind', 'result', 'max difference', 'over largest', 'rms', 'of what is allowed')]
    for r in results:
        rows.append((r['name'], r['kind'], verdict(r), worst(r, 'max_abs'), worst(r, 'max_rel'), worst(r, 'rms'),
                     worst(r, 'ratio')))
    return rows


def speed_table(results):
    rows = [('network', 'kind', 'ONNX Runtime, ms', 'Gregale, ms', 'ratio', 'spreads', 'peak MB')]
    for r in results:
        s = r.get('speed', {})
        if 'ratio' not in s:
            continue
        pair = [s['onnxruntime'], s['gregale']]
        rows.append((r['name'] + (' *' if s['by_shape'] else ''), r['kind'],
                     *(f"{1e3 * p['median_seconds']:.3g}" for p in pair), f"{s['ratio']:.2f}",
                     ' / '.join(f"{100 * p['spread']:.0f} %" for p in pair),
                     ' / '.join(f"{p['peak_rss_bytes'] * 1e-6:.0f}" if p['peak_rss_bytes'] else '?' for p in pair)))
    return rows


def markdown(document):
    def table(rows, text_columns):
        rule = '|' + '|'.join('---' if c < text_columns else '--:' for c in range(len(rows[0]))) + '|'
        lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
        return [lines[0], rule, *lines[1:], '']

    results = document['results']
    passed = sum(r['passed'] for r in results)
    lines = ['# ONNX networks, compared', '', '<!-- Generated by bench/compare/onnx_networks.py; do not edit. -->', '',
             f"{document['date']}: {document['cpu']}, {document['threads']} threads, ONNX Runtime {document['onnxruntime']}.",
             'The networks, their inputs and what counts as equal, chosen before the first measurement: `bench/compare/networks.json`.',
             '', f'## Outputs: {passed} of {len(results)} equal', '', *table(comparison_table(results), 3)]
    failures = [f"- {r['name']}: {r['wrong']}" for r in results if 'wrong' in r]
    lines += failures + [''] if failures else []
    rows = speed_table(results)
    if len(rows) > 1:
        lines += ['## Times', '', f"Medians of {document['rounds']} rounds that alternate. The ratio is ONNX Runtime over "
                  'Gregale: above 1, Gregale is faster.', '', *table(rows, 2)]
        if any(row[0].endswith(' *') for row in rows):
            lines += ['\\* In Gregale all inputs by their shapes: their values may have sent it another way.', '']
        lines += [f"Geometric mean, {label} ({mean['count']}): {mean['ratio']:.2f}."
                  for label, mean in document['geometric_means'].items()] + ['']
    refused = [f"- {r['name']}: {r['speed']['refused']}" for r in results if 'refused' in r.get('speed', {})]
    lines += ['Not timed:', '', *refused, ''] if refused else []
    return '\n'.join(lines)


def print_result(result):
    detail = result.get('wrong') or f"max difference {worst(result, 'max_abs') or 0}, {worst(result, 'ratio')} of what is allowed"
    print(f"{verdict(result):9} {result['name']:24} {detail}")
    speed = result.get('speed', {})
    if 'ratio' in speed:
        pair = {n: speed[n] for n in ('onnxruntime', 'gregale')}
        print('          ' + ', '.join(f"{n} {1e3 * p['median_seconds']:.3g} ms" for n, p in pair.items())
              + f", ratio {speed['ratio']:.2f}" + (', by shapes only' if speed['by_shape'] else ''))
        noisy = [n for n, p in pair.items() if p['spread'] > NOISY]
        if noisy:
            print(f"          runs of {', '.join(noisy)} differed by more than {100 * NOISY:.0f}%: is the machine idle?")
    elif speed:
        print(f"          not timed: {speed['refused']}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', nargs='?', help='build folder, e.g. build/release')
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    parser.add_argument('--export', nargs=2, help=argparse.SUPPRESS)
    parser.add_argument('--venv', help='the virtual environment with ONNX Runtime')
    parser.add_argument('--models', metavar='FOLDER', help='where the models are, or are put')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='networks by name; patterns such as silero-* work')
    parser.add_argument('--speed', action='store_true', help='times both where outputs are equal')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--markdown', metavar='FILE')
    parser.add_argument('--verbose', action='store_true', help="show the libraries' standard error")
    options = parser.parse_args()
    if options.worker:
        work()
        return 0
    if options.export:
        maker, path = options.export
        export(maker, path + '.part')
        os.replace(path + '.part', path)
        return 0
    if not options.build or not options.venv or not options.models:
        parser.error('the build folder, --venv and --models are needed')
    os.makedirs(options.models, exist_ok=True)
    with open(LIST, encoding='utf-8') as file:
        listed = json.load(file)
    networks = [n for n in listed['networks'] + listed['exported']
                if not options.only or any(fnmatch.fnmatchcase(n['name'], pattern) for pattern in options.only)]
    if not networks:
        parser.error('networks.json has none of these')
    results = []
    with tempfile.TemporaryDirectory() as options.cache:
        for network in networks:
            results.append(measure(network, listed, options))
            print_result(results[-1])
    document = {'date': datetime.date.today().isoformat(), 'cpu': cpu_name(), 'threads': options.threads,
                'rounds': options.rounds, 'onnxruntime': next((r['onnxruntime'] for r in results if 'onnxruntime' in r), '?'),
                'geometric_means': geometric_means(results), 'results': results}
    for label, mean in document['geometric_means'].items():
        print(f"geometric mean, {label} ({mean['count']}): {mean['ratio']:.2f}")
    passed = sum(r['passed'] for r in results)
    print(f'{passed} of {len(results)} equal')
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump(document, file, indent=1)
            file.write('\n')
    if options.markdown:
        with open(options.markdown, 'w', encoding='utf-8') as file:
            file.write(markdown(document))
    return 0 if passed == len(results) else 1


if __name__ == '__main__':
    sys.exit(main())
