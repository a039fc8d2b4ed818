// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/json.hpp"
#include "data/compressed_file.hpp"
#include "tools/command.hpp"

/// What `compress` and `decompress` share: the file names, progress, and what became of each variable.
namespace gregale::tools {

struct CompressionFiles {
  Common common;
  std::string in, out;
};
void add_compression_files(Command& command, CompressionFiles& files, const char* in, const char* out);
void check_compression_files(const CompressionFiles& files);

/// The line for the attribute `history`: date, program, arguments.
std::string history_line(const std::string& command, const CompressionFiles& files,
                         const std::vector<std::string>& arguments = {});

/// Drawn on standard error; ends the work where the user asks for it.
class CompressionProgress {
 public:
  CompressionProgress(std::string what, bool quiet) : what_(std::move(what)), quiet_(quiet) {}
  void operator()(int64_t done, int64_t total, const std::string& variable);
  void done();

 private:
  std::string what_;
  bool quiet_;
  std::unique_ptr<Progress> bar_;
};

/// `certified`: with errors, which only compression knows.
nlohmann::json to_json(const data::CompressionReport& report, bool certified);

}  // namespace gregale::tools
