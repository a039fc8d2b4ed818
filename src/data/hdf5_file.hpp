// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hdf5/chunk.hpp"

/// The chunks of compressed variables, past HDF5's pipeline of filters, which runs one chunk at a time on one thread.
namespace gregale::data {

/// Makes this process read and write compressed variables, whatever HDF5_PLUGIN_PATH says. Hold netcdf_mutex().
void register_hdf5_filter();

/// Where the chunks of one dataset are.
struct ChunkTable {
  hdf5::ChunkParameters parameters;
  Extents extents;
  struct Chunk {
    int64_t address = 0, bytes = 0;
  };
  std::vector<Chunk> chunks;  ///< in the order of a ChunkGrid
};

/// Reads chunks from any thread: HDF5 is asked once where they are.
class ChunkReader {
 public:
  /// Finds the datasets that our filter alone has compressed, completely; others are left to HDF5. `datasets` are paths
  /// ("/SST"). Throws ErrorCode::io and ErrorCode::corrupt_data.
  ChunkReader(const std::string& path, const std::vector<std::string>& datasets);
  ~ChunkReader();
  ChunkReader(const ChunkReader&) = delete;
  ChunkReader& operator=(const ChunkReader&) = delete;
  /// In the order of `datasets`.
  const std::optional<ChunkTable>& table(size_t dataset) const { return tables_[dataset]; }
  /// The values of a chunk that are in the array, into `values`, which has their extents. Throws
  /// ErrorCode::corrupt_data with chunk, block and byte.
  void read(size_t dataset, int64_t chunk, Tensor& values, const DecodeOptions& options) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::vector<std::optional<ChunkTable>> tables_;
};

/// Puts chunks into the datasets of a file that netCDF has made. Every function takes the lock; ErrorCode::io.
class ChunkWriter {
 public:
  explicit ChunkWriter(const std::string& path);
  ~ChunkWriter();
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;
  /// The dataset that the following chunks are for; it is given these extents.
  void open(const std::string& dataset, const Extents& extents);
  void write(const Extents& start, std::span<const std::byte> stream);
  void close();

 private:
  [[noreturn]] void fail(const std::string& doing) const;
  std::string path_, name_;
  int64_t file_ = -1, dataset_ = -1;
};

}  // namespace gregale::data
