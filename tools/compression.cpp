// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/compression.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>

namespace gregale::tools {

void add_compression_files(CLI::App& command, CompressionFiles& files, const char* in, const char* out) {
  command.add_option("input", files.in, in)->required()->type_name("IN.nc");
  command.add_option("output", files.out, out)->required()->type_name("OUT.nc");
}

void check_compression_files(const CompressionFiles& files) {
  check_readable_file("IN", files.in);
  check_writable_file("OUT", files.out);
}

std::string history_line(const std::string& what) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ} gregale {} {}", fmt::gmtime(std::time(nullptr)), GREGALE_VERSION, what);
}

void CompressionProgress::operator()(int64_t done, int64_t total, const std::string& variable) {
  constexpr int64_t kMegabyte = 1 << 20;  // what the bar counts
  if (bar_ == nullptr) bar_ = std::make_unique<Progress>(what_, (total + kMegabyte - 1) / kMegabyte, quiet_);
  bar_->update(done / kMegabyte, variable);
  GREGALE_CHECK(!interrupted(), interrupted, "interrupted: nothing was written");
}

void CompressionProgress::done() {
  if (bar_ != nullptr) bar_->done();
}

nlohmann::json to_json(const data::CompressionReport& report) {
  nlohmann::json variables = nlohmann::json::object();
  for (const data::CompressedVariable& v : report.variables) {
    const Certificate& c = v.certificate;
    variables[v.path] = {{"ratio", c.ratio()},
                         {"bound", c.bound},
                         {"max_error", c.max_error},
                         {"rms", c.rms},
                         {"bias", c.bias},
                         {"range", c.range},
                         {"psnr", std::isfinite(c.psnr()) ? nlohmann::json(c.psnr()) : nlohmann::json()},
                         {"values", c.values},
                         {"valid", c.valid},
                         {"bytes_in", c.bytes_in},
                         {"bytes_out", c.bytes_out},
                         {"encode_gbs", v.encode_gbs()},
                         {"decode_gbs", v.decode_gbs()},
                         {"codec", c.codec},
                         {"hash", fmt::format("{:016x}", c.hash)}};
  }
  return {{"variables", variables},
          {"kept", report.kept},
          {"file_bytes_in", report.file_bytes_in},
          {"file_bytes_out", report.file_bytes_out}};
}

}  // namespace gregale::tools
