// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Writes random models with their inputs as a folder of backend tests, for bench/compare/onnx_random.py, which adds
// what ONNX Runtime answers: write_random_models FOLDER COUNT [FIRST_SEED]
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "onnx/random_model.hpp"
#include "onnx/tensor_data.hpp"

int main(int argc, char** argv) {
  using namespace gregale;
  if (argc < 3) {
    std::fprintf(stderr, "usage: write_random_models FOLDER COUNT [FIRST_SEED]\n");
    return 2;
  }
  const uint64_t first = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  const auto write = [](const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  for (uint64_t k = 0; k < std::strtoull(argv[2], nullptr, 10); ++k) {
    const onnx::RandomModel random = onnx::random_model(first + k);
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / ("test_random_" + std::to_string(first + k));
    std::filesystem::create_directories(folder / "test_data_set_0");
    write(folder / "model.onnx", random.model.SerializeAsString());
    for (size_t i = 0; i < random.inputs.size(); ++i) {
      onnx::format::Tensor t;
      onnx::write_tensor(random.inputs[i].second, &t);
      t.set_name(random.inputs[i].first);
      write(folder / "test_data_set_0" / ("input_" + std::to_string(i) + ".pb"), t.SerializeAsString());
    }
  }
  return 0;
}
