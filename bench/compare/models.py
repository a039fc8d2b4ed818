#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Times Gregale's built-in models and the same networks in other libraries alternately, in one run.

The others come from PyPI, in a virtual environment of their own:
  python3 -m venv DIR && DIR/bin/pip install torch onnx onnxscript onnxruntime openvino jax
  bench/compare/models.py build/release --venv DIR --json models.json --markdown models.md
  bench/compare/models.py build/release --venv DIR --mode train --markdown training.md

Each library runs in a process of its own that stays alive, with weights drawn at random and the same shapes. Every round
times each of them once, in turn, so that a slow moment of the machine falls on all; a ratio is one of medians. Where a
library has several good settings (memory formats, autocast or bf16 weights), each is tried and the fastest one is kept.
To train is one step on a mean squared error: forward, backward and AdamW; of a single layer, forward and backward with the
gradients of all weights and of the operand. Only the libraries that train take part.
Needs an idle machine; the script itself needs no packages.
"""
import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

LIBRARIES = {'torch': 'PyTorch eager', 'torch_compile': 'torch.compile', 'onnxruntime': 'ONNX Runtime',
             'openvino': 'OpenVINO', 'jax': 'JAX'}
SETTLE = 0.1  # seconds: the threads of the one before spin for a while before they sleep
NOISY = 0.15  # distance of quartiles, as a fraction of the median
TRAINERS = ['torch', 'torch_compile', 'jax']
SMALL = ['bert-base-layer,batch=8,length=128', 'bert-base-layer,batch=1,length=384', 'mlp,batch=1024', 'resnet50,batch=1']


def task_of(text, mode):
    """'bert-base-layer,batch=8,length=128' with the defaults of `gregale bench model`."""
    name, *settings = text.split(',')
    task = {'name': name, 'batch': {'bert-base-layer': 8, 'mlp': 1024}.get(name, 1)}
    task.update({'bert-base-layer': {'length': 128}, 'mlp': {'width': 64, 'depth': 4}}.get(name, {}))
    for setting in settings:
        key, value = setting.split('=')
        if key not in task:
            sys.exit(f"models.py: {name} has no '{key}'")
        task[key] = int(value)
    if mode == 'train':
        task['mode'] = mode
        task['optimizer'] = 'none' if name == 'bert-base-layer' else 'adamw'
    return task


def input_shape(task):
    b = task['batch']
    return {'fourcastnet': (b, 20, 720, 1440), 'bert-base-layer': (b, task.get('length'), 768),
            'resnet50': (b, 3, 224, 224), 'surrogate3d': (b, 1, 64, 64, 64), 'mlp': (b, task.get('width'))}[task['name']]


# ---- workers: run by the Python of the virtual environment ----------------------------------------------------------

def torch_model(task):
    """The network of src/nn/models/, normalisations of the ResNet folded."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Bert(nn.Module):
        def __init__(self, width=768, heads=12, hidden=3072):
            super().__init__()
            self.heads = heads
            self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
            self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
            self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))

        def forward(self, x):
            b, l, width = x.shape
            q, k, v = (f(x).view(b, l, self.heads, width // self.heads).transpose(1, 2)
                       for f in (self.query, self.key, self.value))
            context = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, l, width)
            x = self.norm1(x + self.output(context))
            return self.norm2(x + self.fc2(F.gelu(self.fc1(x))))

    class Bottleneck(nn.Module):
        def __init__(self, into, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(into, width, 1)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1)
            self.conv3 = nn.Conv2d(width, 4 * width, 1)
            self.shortcut = nn.Conv2d(into, 4 * width, 1, stride) if stride != 1 or into != 4 * width else None

        def forward(self, x):
            y = self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
            return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    class Resnet(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, blocks, channels = nn.Conv2d(3, 64, 7, 2, 3), [], 64
            for stage, count in enumerate((3, 4, 6, 3)):
                for block in range(count):
                    blocks.append(Bottleneck(channels, 64 << stage, 2 if stage > 0 and block == 0 else 1))
                    channels = 256 << stage
            self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(channels, 1000)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
            return self.head(self.blocks(x).mean((2, 3)))

    class Surrogate(nn.Module):
        def __init__(self, width=32, depth=8):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv3d(1 if i == 0 else width, width, 3, padding=1) for i in range(depth))
            self.head = nn.Conv3d(width, 1, 1)

        def forward(self, x):
            for i, layer in enumerate(self.layers):
                y = F.gelu(layer(x))
                x = y if i == 0 else x + y
            return self.head(x)

    class Filter(nn.Module):
        def __init__(self, width, blocks=8, threshold=0.01):
            super().__init__()
            size, self.blocks, self.threshold = width // blocks, blocks, threshold
            self.w1, self.w2 = (nn.Parameter(0.02 * torch.randn(2, blocks, size, size)) for _ in range(2))
            self.b1, self.b2 = (nn.Parameter(0.02 * torch.randn(2, blocks, size)) for _ in range(2))

        def product(self, re, im, w, b):
            real = torch.einsum('...ki,kio->...ko', re, w[0]) - torch.einsum('...ki,kio->...ko', im, w[1]) + b[0]
            imag = torch.einsum('...ki,kio->...ko', im, w[0]) + torch.einsum('...ki,kio->...ko', re, w[1]) + b[1]
            return real, imag

        def forward(self, x):
            dtype = x.dtype
            z = torch.fft.rfft2(x.float(), dim=(1, 2), norm='ortho')
            z = z.reshape(*z.shape[:3], self.blocks, -1)
            re, im = self.product(z.real.to(dtype), z.imag.to(dtype), self.w1, self.b1)
            re, im = self.product(F.relu(re), F.relu(im), self.w2, self.b2)
            z = F.softshrink(torch.stack([re, im], dim=-1), self.threshold).float()
            z = torch.view_as_complex(z.contiguous()).flatten(3)
            return torch.fft.irfft2(z, s=x.shape[1:3], dim=(1, 2), norm='ortho').to(dtype) + x

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
            self.filter, self.fc1, self.fc2 = Filter(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            x = x + self.filter(self.norm1(x))
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class Fourcastnet(nn.Module):
        def __init__(self, channels=20, patch=8, width=768, depth=12):
            super().__init__()
            self.patch, self.channels = patch, channels
            self.embed = nn.Conv2d(channels, width, patch, patch)
            self.position = nn.Parameter(0.02 * torch.randn(720 // patch, 1440 // patch, width))
            self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
            self.head = nn.Linear(width, patch * patch * channels, bias=False)

        def forward(self, x):
            b, p = x.shape[0], self.patch
            x = self.head(self.blocks(self.embed(x).permute(0, 2, 3, 1) + self.position))
            x = x.reshape(b, x.shape[1], x.shape[2], p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
            return x.reshape(b, self.channels, x.shape[2] * p, x.shape[4] * p)

    def mlp():
        layers = []
        for _ in range(task['depth']):
            layers += [nn.Linear(task['width'], task['width']), nn.GELU()]
        return nn.Sequential(*layers, nn.Linear(task['width'], task['width']))

    torch.manual_seed(0)
    build = {'bert-base-layer': Bert, 'resnet50': Resnet, 'fourcastnet': Fourcastnet, 'surrogate3d': Surrogate, 'mlp': mlp}[task['name']]
    trains = task.get('mode') == 'train'
    return build().train(trains).requires_grad_(trains)


def torch_settings(task, precision, threads, compiled, only):
    import copy

    import torch
    torch.set_num_threads(threads)
    if compiled:
        import torch._inductor.config
        torch._inductor.config.freezing = task.get('mode') != 'train'  # weights are packed once
    x = torch.randn(input_shape(task))
    model = torch_model(task)
    settings = {}
    trains = task.get('mode') == 'train'

    def add(name, m, y, autocast=False):
        def run():
            with torch.inference_mode() if not compiled else torch.no_grad():
                with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
                    m(y)

        def train():
            nonlocal truth
            y.grad = None
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
                result = m(y)
                if truth is None:
                    truth = torch.randn(result.shape, dtype=result.dtype)
                loss = torch.nn.functional.mse_loss(result, truth)
            loss.backward()
            if task['optimizer'] != 'none':
                optimizer.step()

        truth = None
        if trains:
            y = y.clone().requires_grad_(task['optimizer'] == 'none')
            optimizer = torch.optim.AdamW(m.parameters(), lr=1e-4, weight_decay=0, fused=True)
        settings[name] = train if trains else run

    images = task['name'] in ('resnet50', 'surrogate3d')
    form = torch.channels_last if task['name'] == 'resnet50' else torch.channels_last_3d
    for layout in (['channels last', 'contiguous'] if images else ['contiguous']):
        last = {'memory_format': form} if layout == 'channels last' else {}
        suffix = ', ' + layout if images else ''
        wide = copy.deepcopy(model).to(**last) if last else model
        finish = torch.compile if compiled else lambda m: m
        makers = {'fp32': lambda: (finish(wide), x.to(**last))} if precision == 'fp32' else {
            'bf16 weights': lambda: (finish(copy.deepcopy(wide).to(torch.bfloat16, **last)), x.to(torch.bfloat16, **last)),
            'autocast': lambda: (finish(copy.deepcopy(wide)), x.to(**last), True)}
        for name, make in makers.items():
            if only in (None, name + suffix):
                add(name + suffix, *make())
    return f'{torch.__version__}', settings


def export(task, precision, folder):
    import torch
    path = os.path.join(folder, '-'.join(str(v) for v in task.values()) + f'-{precision}.onnx')
    if not os.path.exists(path):
        x, model = torch.randn(input_shape(task)), torch_model(task)
        if precision == 'bf16':
            x, model = x.bfloat16(), model.bfloat16()
        torch.onnx.export(model, (x,), path, dynamo=True, input_names=['x'], output_names=['y'])
    return path


def onnxruntime_settings(task, precision, threads, folder):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(export(task, precision, folder), options, ['CPUExecutionProvider'])
    x = numpy.random.default_rng(0).standard_normal(input_shape(task)).astype(numpy.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    if precision == 'bf16':
        import ml_dtypes
        value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
            x.astype(ml_dtypes.bfloat16).view(numpy.uint16), 16)
    binding = session.io_binding()
    binding.bind_ortvalue_input('x', value)
    binding.bind_output('y')
    return onnxruntime.__version__, {precision: lambda: session.run_with_iobinding(binding)}


def openvino_settings(task, precision, threads, folder):
    import numpy
    import openvino
    core = openvino.Core()
    model = core.read_model(export(task, 'fp32', folder))
    config = {'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY', 'NUM_STREAMS': 1,
              'INFERENCE_PRECISION_HINT': {'fp32': 'f32', 'bf16': 'bf16'}[precision]}
    compiled = core.compile_model(model, 'CPU', config)
    got = compiled.get_property('INFERENCE_PRECISION_HINT').to_string()
    if got != config['INFERENCE_PRECISION_HINT']:
        raise RuntimeError(f'OpenVINO runs {got}')
    request = compiled.create_infer_request()
    x = numpy.random.default_rng(0).standard_normal(input_shape(task)).astype(numpy.float32)
    request.set_input_tensor(openvino.Tensor(x))
    return openvino.__version__.split('-')[0], {precision: request.infer}


def jax_settings(task, precision, threads, folder):
    import jax
    import jax.numpy as jnp
    import numpy
    dtype = {'fp32': jnp.float32, 'bf16': jnp.bfloat16}[precision]
    random = numpy.random.default_rng(0)

    def draw(*shape):
        fan_in = max(1, int(numpy.prod(shape[:-1])))
        return jnp.asarray(random.standard_normal(shape) / fan_in ** 0.5, dtype)

    def linear(x, w):
        return x @ w['w'] + w['b']

    def new_linear(into, out):
        return {'w': draw(into, out), 'b': draw(out)}

    def norm(x):  # scales and shifts do not matter for the time: XLA fuses them
        wide = x.astype(jnp.float32)
        wide = wide - wide.mean(-1, keepdims=True)
        return (wide * jax.lax.rsqrt((wide * wide).mean(-1, keepdims=True) + 1e-12)).astype(dtype)

    gelu = lambda x: jax.nn.gelu(x, approximate=False)
    name, x = task['name'], draw(*input_shape(task))
    if name == 'mlp':
        weights = [new_linear(task['width'], task['width']) for _ in range(task['depth'] + 1)]

        def forward(weights, x):
            for w in weights[:-1]:
                x = gelu(linear(x, w))
            return linear(x, weights[-1])
    elif name == 'bert-base-layer':
        weights = {k: new_linear(768, 768) for k in ('q', 'k', 'v', 'o')}
        weights.update(fc1=new_linear(768, 3072), fc2=new_linear(3072, 768))

        def forward(w, x):
            b, l, width = x.shape
            q, k, v = (linear(x, w[n]).reshape(b, l, 12, width // 12) for n in 'qkv')
            context = jax.nn.dot_product_attention(q, k, v).reshape(b, l, width)
            x = norm(x + linear(context, w['o']))
            return norm(x + linear(gelu(linear(x, w['fc1'])), w['fc2']))
    elif name == 'resnet50':
        x = x.transpose(0, 2, 3, 1)  # XLA's convolutions on CPUs are of channels last

        def new_convolution(into, out, size):
            return {'w': draw(size, size, into, out), 'b': draw(out)}

        def convolution(x, w, stride=1):
            pad = w['w'].shape[0] // 2
            return jax.lax.conv_general_dilated(x, w['w'], (stride, stride), ((pad, pad), (pad, pad)),
                                                dimension_numbers=('NHWC', 'HWIO', 'NHWC')) + w['b']

        blocks, strides, channels = [], [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for block in range(count):
                width = 64 << stage
                w = {'c1': new_convolution(channels, width, 1), 'c2': new_convolution(width, width, 3),
                     'c3': new_convolution(width, 4 * width, 1)}
                if block == 0:
                    w['s'] = new_convolution(channels, 4 * width, 1)
                blocks.append(w)
                strides.append(2 if stage > 0 and block == 0 else 1)
                channels = 4 * width
        weights = {'stem': new_convolution(3, 64, 7), 'blocks': blocks, 'head': new_linear(channels, 1000)}

        def forward(weights, x):
            x = jax.nn.relu(convolution(x, weights['stem'], 2))
            x = jax.lax.reduce_window(x, jnp.array(-jnp.inf, dtype), jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1),
                                      ((0, 0), (1, 1), (1, 1), (0, 0)))
            for w, stride in zip(weights['blocks'], strides):
                y = convolution(jax.nn.relu(convolution(jax.nn.relu(convolution(x, w['c1'])), w['c2'], stride)), w['c3'])
                x = jax.nn.relu(y + (convolution(x, w['s'], stride) if 's' in w else x))
            return linear(x.mean((1, 2)), weights['head'])
    else:
        raise RuntimeError('not written for JAX')
    if task.get('mode') == 'train':
        if task['optimizer'] != 'none':
            raise RuntimeError('no optimizer is written for JAX')
        truth = jnp.asarray(random.standard_normal(jax.eval_shape(forward, weights, x).shape), dtype)
        loss = lambda weights, x: ((forward(weights, x) - truth).astype(jnp.float32) ** 2).mean()
        step = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(weights, x).compile()
        return jax.__version__, {precision: lambda: jax.block_until_ready(step(weights, x))}
    compiled = jax.jit(forward).lower(weights, x).compile()
    return jax.__version__, {precision: lambda: compiled(weights, x).block_until_ready()}


def timed(run, least):
    """The median of runs that take `least` seconds together, after one whose time does not count: threads wake up."""
    run()
    seconds = []
    while not seconds or sum(seconds) < least:
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def work(library):
    """Answers one line of JSON for each: first the task, then 'run' as often as wanted."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # whatever libraries print

    def answer(document):
        print(json.dumps(document), file=answers, flush=True)

    job = json.loads(sys.stdin.readline())
    task, precision, threads = job['task'], job['precision'], job['threads']
    try:
        if library.startswith('torch'):
            version, settings = torch_settings(task, precision, threads, library == 'torch_compile', job['setting'])
        else:
            prepare = {'onnxruntime': onnxruntime_settings, 'openvino': openvino_settings, 'jax': jax_settings}[library]
            version, settings = prepare(task, precision, threads, job['folder'])
        trials, refusals = {}, []
        for name, run in settings.items():
            try:
                timed(run, 0)
                trials[name] = timed(run, 0.5)
            except Exception as error:  # a setting that fails is one less to choose from
                refusals.append(f'{name}: {error}')
        if not trials:
            raise RuntimeError('; '.join(refusals))
        best = min(trials, key=trials.get)
        answer({'ready': True, 'version': version, 'setting': best, 'trials': trials})
    except Exception as error:  # whatever goes wrong in a library is its result
        lines = str(error).strip().splitlines() or ['']
        answer({'refused': f'{type(error).__name__}: {lines[0][:300]}'})
        return
    for _ in sys.stdin:
        answer({'seconds': timed(settings[best], 0.1),
                'peak_rss_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


# ---- the driver -----------------------------------------------------------------------------------------------------

def environment_of(threads):
    prefixes = ('OMP_', 'GOMP_', 'KMP_', 'OPENBLAS_', 'BLIS_', 'MKL_', 'DNNL_', 'ONEDNN_', 'TORCH', 'XLA_', 'JAX_', 'GREGALE_')
    environment = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    environment['OMP_NUM_THREADS'] = str(threads)
    environment['JAX_PLATFORMS'] = 'cpu'
    return environment


def limit(threads):
    """JAX counts processors instead of asking for a number of threads."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[-threads:])


class Worker:
    def __init__(self, library, options, script=__file__):
        self.process = subprocess.Popen(
            [os.path.join(options.venv, 'bin', 'python'), os.path.abspath(script), '--worker', library],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if options.verbose else subprocess.DEVNULL, text=True,
            env=environment_of(options.threads), preexec_fn=lambda: limit(options.threads))

    def ask(self, line):
        try:
            self.process.stdin.write(line + '\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ''
        return json.loads(answer) if answer else {'refused': f'the process ended with status {self.process.wait()}'}

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Gregale:
    """Ours: a process a run, which warms up and gives the median of its own repetitions."""

    def __init__(self, task, precision, options):
        self.command = [os.path.join(options.build, 'bin', 'gregale'), 'bench', 'model', task['name'], '--json', '--quiet',
                        '--precision', precision, '--threads', str(options.threads)]
        for key, value in task.items():
            if key != 'name':
                self.command += ['--' + key, str(value)]
        self.environment = dict(environment_of(options.threads), XDG_CACHE_HOME=options.folder)
        self.document = {}

    def ask(self, _):
        done = subprocess.run(self.command, capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode != 0:
            return {'refused': done.stderr.strip()}
        self.document = json.loads(done.stdout)
        return {'seconds': self.document['median_seconds'], 'peak_rss_bytes': self.document['peak_rss_bytes']}

    def close(self):
        pass


def ceiling(options):
    command = [os.path.join(options.build, 'bin', 'gregale'), 'machine', '--fresh', '--json', '--quiet', '--threads',
               str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env=dict(environment_of(options.threads), XDG_CACHE_HOME=options.folder))
    peaks = json.loads(done.stdout)['peak_gflops']
    return {unit: (peaks.get(unit) or {}).get('all_threads') for unit in ('fp32', 'bf16')}


def measure(task, precision, libraries, options):
    result = {'task': task, 'precision': precision, 'libraries': {}, 'refused': {}}
    ready = {}
    ours = Gregale(task, precision, options)
    first = ours.ask('run')  # the one that finds out whether it runs at all
    if 'seconds' in first:
        ready['gregale'] = ours
        result['libraries']['gregale'] = {'version': 'Gregale', 'setting': precision}
    else:
        result['refused']['gregale'] = first['refused']
    for library in libraries:
        # What is fp32 accuracy on tile units here is fp32 there: none of them has such a mode.
        theirs = 'fp32' if precision == 'fp32x3' else precision
        job = {'task': task, 'precision': theirs, 'threads': options.threads, 'folder': options.folder, 'setting': None}
        worker = Worker(library, options)
        answer = worker.ask(json.dumps(job))
        if answer.get('ready') and len(answer['trials']) > 1:  # alone in its process, so that its memory is its own
            worker.close()
            worker = Worker(library, options)
            answer = worker.ask(json.dumps(dict(job, setting=answer['setting'])))
        if answer.get('ready'):
            ready[library] = worker
            result['libraries'][library] = answer
        else:
            result['refused'][library] = answer.get('refused', str(answer))
            worker.close()
    names, seconds = list(ready), {name: [] for name in ready}
    for r in range(options.rounds):  # the order turns, so that nobody always follows the same one
        turn = r % max(1, len(names))
        for name in names[turn:] + names[:turn]:
            time.sleep(SETTLE)
            answer = ready[name].ask('run')
            if 'seconds' in answer:
                seconds[name].append(answer['seconds'])
                result['libraries'][name]['peak_rss_bytes'] = answer['peak_rss_bytes']
            else:
                result['refused'][name] = answer.get('refused', '?')
    for name, worker in ready.items():
        worker.close()
        if not seconds[name] or name in result['refused']:
            del result['libraries'][name]
            continue
        low, _, high = statistics.quantiles(seconds[name], n=4) if len(seconds[name]) > 1 else (0, 0, 0)
        median = statistics.median(seconds[name])
        result['libraries'][name].update(seconds=seconds[name], median_seconds=median, spread=(high - low) / median)
    result['flops'] = ours.document.get('flops')
    rivals = {n: p['median_seconds'] for n, p in result['libraries'].items() if n != 'gregale'}
    if rivals:
        result['fastest_rival'] = min(rivals, key=rivals.get)
        for p in result['libraries'].values():
            p['time_over_fastest_rival'] = p['median_seconds'] / rivals[result['fastest_rival']]
    return result


def label(result):
    task = result['task']
    settings = ', '.join(f'{k} {v}' for k, v in task.items() if k != 'name')
    return f"{task['name']}, {settings}, {result['precision']}"


def libraries_of(options):
    names = options.libraries.split(',')
    return [n for n in names if n in TRAINERS] if options.mode == 'train' else names


def table(result):
    rows = [('library', 'ms', 'Gflop/s', 'time / fastest rival', 'spread', 'peak MB', 'setting')]
    for name, p in sorted(result['libraries'].items(), key=lambda item: item[1]['median_seconds']):
        title = 'Gregale' if name == 'gregale' else f"{LIBRARIES[name]} {p['version']}"
        speed = f"{result['flops'] / p['median_seconds'] * 1e-9:.0f}" if result['flops'] else ''
        ratio = f"{p['time_over_fastest_rival']:.2f}" if 'time_over_fastest_rival' in p else ''
        rows.append((title, f"{1e3 * p['median_seconds']:.3g}", speed, ratio, f"{100 * p['spread']:.0f} %",
                     f"{p['peak_rss_bytes'] * 1e-6:.0f}", p['setting']))
    return rows


def markdown(document):
    lines = ['# Models, compared', '', '<!-- Generated by bench/compare/models.py; do not edit. -->', '',
             f"Measured on {document['date']}: {document['cpu']}, {document['threads']} threads. Medians of "
             f"{document['rounds']} rounds in which all libraries take turns,",
             'each in a process of its own and at the best of its settings. Ceilings of all threads, Gflop/s: '
             + '; '.join(f"{when}: fp32 {c['fp32']:.0f}" + (f", bf16 {c['bf16']:.0f}" if c.get('bf16') else '')
                         for when, c in document['ceilings'].items()) + '.', '']
    for result in document['results']:
        rows = table(result)
        lines += [f'## {label(result)}', '', '| ' + ' | '.join(rows[0]) + ' |', '|---|--:|--:|--:|--:|--:|---|']
        lines += ['| ' + ' | '.join(row) + ' |' for row in rows[1:]]
        if result['refused']:
            lines += ['', 'Not run: ' + '; '.join(f'{n} ({why})' for n, why in result['refused'].items()) + '.']
        lines.append('')
    return '\n'.join(lines)


def print_result(result):
    print(label(result))
    rows = table(result)
    widths = [max(len(r[c]) for r in rows) for c in range(len(rows[0]))]
    for row in rows:
        print('  ' + '  '.join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())
    for name, why in result['refused'].items():
        print(f'  {name}: {why}')
    noisy = [n for n, p in result['libraries'].items() if p['spread'] > NOISY]
    if noisy:
        print(f"  runs of {', '.join(noisy)} differed by more than {100 * NOISY:.0f}%: is the machine idle?")
    print(flush=True)


def cpu_name():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build', nargs='?', help='build folder, e.g. build/release')
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    parser.add_argument('--venv', help='the virtual environment with the other libraries')
    parser.add_argument('--tasks', nargs='+', default=SMALL, metavar='MODEL,batch=B,...',
                        help='default: ' + ' '.join(SMALL) + '; fourcastnet takes long')
    parser.add_argument('--mode', choices=['infer', 'train'], default='infer')
    parser.add_argument('--precisions', default='fp32,bf16')
    parser.add_argument('--libraries', default=','.join(LIBRARIES), help='default: all')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--markdown', metavar='FILE')
    parser.add_argument('--verbose', action='store_true', help="show the libraries' standard error")
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if not options.build or not options.venv:
        parser.error('the build folder and --venv are needed')
    tasks = [task_of(text, options.mode) for text in options.tasks]
    with tempfile.TemporaryDirectory() as options.folder:
        document = {'date': datetime.date.today().isoformat(), 'cpu': cpu_name(), 'threads': options.threads,
                    'rounds': options.rounds, 'ceilings': {'before': ceiling(options)}, 'results': []}
        for task in tasks:
            flops = None  # where Gregale does not run, the network counts as in the precision before
            for precision in options.precisions.split(','):
                result = measure(task, precision, libraries_of(options), options)
                flops = result['flops'] = result['flops'] or flops
                document['results'].append(result)
                print_result(result)
        document['ceilings']['after'] = ceiling(options)
    print('ceilings: ' + json.dumps(document['ceilings']))
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump(document, file, indent=1)
            file.write('\n')
    if options.markdown:
        with open(options.markdown, 'w', encoding='utf-8') as file:
            file.write(markdown(document))


if __name__ == '__main__':
    main()
