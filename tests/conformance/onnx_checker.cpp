// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Every .onnx file of a folder through the checker of the ONNX project: onnx_checker FOLDER
#include <onnx/checker.h>

#include <cstdio>
#include <exception>
#include <filesystem>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: onnx_checker FOLDER\n");
    return 2;
  }
  int checked = 0, wrong = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    if (entry.path().extension() != ".onnx") continue;
    ++checked;
    try {
      onnx::checker::check_model(entry.path().string());
    } catch (const std::exception& e) {
      ++wrong;
      std::printf("%s: %s\n", entry.path().filename().c_str(), e.what());
    }
  }
  std::printf("%d files checked, %d wrong\n", checked, wrong);
  return wrong > 0 || checked == 0 ? 1 : 0;
}
