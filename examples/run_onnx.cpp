// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Runs an ONNX model on ones and prints what comes out: run_onnx model.onnx
#include <gregale/context.hpp>
#include <gregale/error.hpp>
#include <gregale/onnx.hpp>

#include <cstdio>
#include <exception>
#include <vector>

int main(int argc, char** argv) {
  using namespace gregale;
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_onnx model.onnx\n");
    return 2;
  }
  try {
    const onnx::Model model = onnx::Model::load(argv[1]);
    std::vector<Tensor> inputs;
    for (const onnx::Port& port : model.inputs()) {
      std::printf("takes %s %s\n", port.name.c_str(), to_string(port).c_str());
      Extents extents;
      for (const Dim& dim : port.shape.dims()) extents.push_back(dim.is_constant() ? dim.value() : 1);
      inputs.push_back(Tensor::full(port.dtype, extents, 1));
    }
    // A context for each thread that runs; the model may be shared. Tensor::borrow() would bind memory of your own.
    ExecutionContext context;
    const std::vector<Tensor> outputs = model.run(context, inputs);
    for (size_t i = 0; i < outputs.size(); ++i)
      std::printf("gives %s %s\n", model.outputs()[i].name.c_str(), to_string(outputs[i].type()).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_onnx: %s\n", error.what());
    return 1;
  }
  return 0;
}
