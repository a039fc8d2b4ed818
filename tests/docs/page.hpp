// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For programs that make a page of docs/: PROGRAM prints it, PROGRAM --check PAGE tells whether PAGE is what it prints.
#pragma once

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace gregale {

inline int page_main(int argc, char** argv, const std::string& program, const std::string& name,
                     std::string (*page)()) {
  if (argc == 3 && std::string(argv[1]) == "--check") {
    std::ifstream file(argv[2]);
    std::stringstream committed;
    committed << file.rdbuf();
    if (file && committed.str() == page()) return 0;
    std::fprintf(stderr, "%s is not what the registry gives. Make it again:\n  %s > docs/%s\n", argv[2],
                 program.c_str(), name.c_str());
    return 1;
  }
  if (argc != 1) {
    std::fprintf(stderr, "usage: %s [--check PAGE]\n", program.c_str());
    return 2;
  }
  std::fputs(page().c_str(), stdout);
  return 0;
}

}  // namespace gregale
