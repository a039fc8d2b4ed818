// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/compression.hpp"

namespace gregale::tools {
namespace {

int run_decompress(const CompressionFiles& o) {
  check_compression_files(o);
  catch_interrupts();
  auto context = o.common.make_context();
  CompressionProgress progress("decompress", o.common.quiet || o.common.json);
  data::DecompressOptions options;
  options.team = &context->team();
  options.history = history_line("decompress", o);
  options.progress = [&](int64_t done, int64_t total, const std::string& variable) { progress(done, total, variable); };
  const data::CompressionReport report = data::decompress_file(o.in, o.out, options);
  progress.done();
  o.common.finish(*context);
  if (o.common.json) {
    fmt::print("{}\n", to_json(report, false).dump(2));
    return 0;
  }
  for (const data::CompressedVariable& v : report.variables)
    fmt::print("{:<18} {} from {}, {:.3f} GB/s\n", v.path, format_bytes(static_cast<double>(v.certificate.bytes_in)),
               format_bytes(static_cast<double>(v.certificate.bytes_out)), v.decode_gbs());
  fmt::print("{}: {} from {}\n", o.out, format_bytes(static_cast<double>(report.file_bytes_out)),
             format_bytes(static_cast<double>(report.file_bytes_in)));
  return 0;
}

}  // namespace

Runner add_decompress(Command& program) {
  auto o = std::make_shared<CompressionFiles>();
  Command c =
      add_command(program, "decompress", "Write a compressed file as plain netCDF-4, for readers without the filter",
                  "gregale decompress small.nc plain.nc", o->common);
  add_compression_files(c, *o, "A file that gregale compress wrote", "The netCDF-4 file to be written");
  return [o] { return run_decompress(*o); };
}

}  // namespace gregale::tools
