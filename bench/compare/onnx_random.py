#!/usr/bin/env python3
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
"""Random ONNX models: Gregale's answers against ONNX Runtime's.

  bench/compare/onnx_random.py build/ci --count 2000 --folder /tmp/random

writes models with build/ci/bin/write_random_models (the build's target of that name), lets the checker of the onnx package
look at each, adds what ONNX Runtime answers as their expected results, and has `gregale conformance` run them. Tolerances are
the backend tests' own, which are per element: where a chain of operators cancels, both engines are right to differ, so that a
failure is looked at again here relative to the tensor's greatest value (1e-4). Needs onnx, onnxruntime and numpy. Exit status 1
where anything differs beyond that.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper


def answer(folder, session_options):
    """What ONNX Runtime says to a model's inputs; written beside them."""
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    data = folder / "test_data_set_0"
    feeds = {}
    for i, _ in enumerate(model.graph.input):
        tensor = onnx.TensorProto()
        tensor.ParseFromString((data / f"input_{i}.pb").read_bytes())
        feeds[model.graph.input[i].name] = numpy_helper.to_array(tensor)
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, feeds)
    for i, value in enumerate(outputs):
        tensor = numpy_helper.from_array(numpy.asarray(value), model.graph.output[i].name)
        (data / f"output_{i}.pb").write_bytes(tensor.SerializeToString())
    return feeds, outputs


def near(ours, theirs):
    """Equal relative to the greatest value; dtype and extents exactly."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    if ours.dtype.kind != "f":
        return bool((ours == theirs).all())
    finite = theirs[numpy.isfinite(theirs)]
    scale = float(numpy.abs(finite).max()) if finite.size else 0.0
    return bool(numpy.allclose(ours, theirs, rtol=1e-3, atol=1e-4 * scale + 1e-6, equal_nan=True))


def look_again(program, folder, feeds, outputs):
    """Runs one model by itself and compares whole tensors."""
    arguments = [str(program), "run", str(folder / "model.onnx"), "--quiet", "--json", "-o", str(folder / "ours")]
    for name, value in feeds.items():
        numpy.save(folder / f"{name}.npy", value)
        arguments += ["--input", f"{name}={folder / f'{name}.npy'}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1]
    files = [entry["file"] for entry in json.loads(done.stdout)["outputs"]]
    for file, theirs in zip(files, outputs):
        ours = numpy.load(file)
        if not near(ours, numpy.asarray(theirs)):
            return f"{pathlib.Path(file).name} differs"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="a build folder, with bin/gregale and bin/write_random_models")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where the models go")
    arguments = parser.parse_args()
    program = arguments.build / "bin" / "gregale"
    subprocess.run([str(arguments.build / "bin" / "write_random_models"), str(arguments.folder), str(arguments.count),
                    str(arguments.first)], check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    known, refused = {}, []
    operators = set()
    for seed in range(arguments.first, arguments.first + arguments.count):
        folder = arguments.folder / f"test_random_{seed}"
        try:
            known[folder.name] = answer(folder, options)
            operators.update(n.op_type for n in onnx.load(folder / "model.onnx").graph.node)
        except Exception as error:  # a model that the checker or ONNX Runtime refuses is a fault of the generator
            refused.append((folder.name, str(error).splitlines()[0]))
    done = subprocess.run([str(program), "conformance", str(arguments.folder), "--json", "--quiet"], capture_output=True,
                          text=True, check=False)
    report = json.loads(done.stdout)
    different = []
    passed = sum(test["status"] == "passed" and test["name"] in known for test in report["tests"])
    for test in report["tests"]:
        if test["status"] == "passed" or test["name"] not in known:
            continue
        why = look_again(program, arguments.folder / test["name"], *known[test["name"]])
        if why:
            different.append((test["name"], why, test["reason"]))
    for name, why in refused:
        print(f"{name}: refused by ONNX Runtime or the checker: {why}")
    for name, why, reason in different:
        print(f"{name}: {why} ({reason})")
    print(f"{len(operators)} operators, {len(known)} models: {passed} equal element by element, "
          f"{len(known) - passed - len(different)} relative to the greatest value, {len(different)} different; "
          f"{len(refused)} refused")
    return 1 if different or refused else 0


if __name__ == "__main__":
    sys.exit(main())
