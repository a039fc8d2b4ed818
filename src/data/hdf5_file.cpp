// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/hdf5_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hdf5.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/chunk_grid.hpp"
#include "data/netcdf_file.hpp"
#include "gregale/error.hpp"
#include "hdf5/filter.hpp"

namespace gregale::data {
namespace {

constexpr int64_t kMostChunks = int64_t{1} << 26;

/// An identifier of HDF5 and how it is given back.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// The parameters of our filter where it is the dataset's only one.
std::optional<hdf5::ChunkParameters> parameters_of(hid_t properties) {
  if (H5Pget_layout(properties) != H5D_CHUNKED || H5Pget_nfilters(properties) != 1) return std::nullopt;
  unsigned flags = 0, configuration = 0, numbers[256] = {};  // more are a mistake to HDF5
  size_t count = std::size(numbers);
  const H5Z_filter_t id = H5Pget_filter2(properties, 0, &flags, &count, numbers, 0, nullptr, &configuration);
  if (id != hdf5::kFilterId) return std::nullopt;
  return hdf5::ChunkParameters::parse({numbers, std::min(count, std::size(numbers))});
}

std::optional<ChunkTable> table_of(hid_t file, const std::string& name) {
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (dataset < 0) return std::nullopt;
  const Handle properties(H5Dget_create_plist(dataset), H5Pclose);
  const std::optional<hdf5::ChunkParameters> parameters = parameters_of(properties);
  if (!parameters) return std::nullopt;
  ChunkTable table{*parameters, {}, {}};
  const Handle space(H5Dget_space(dataset), H5Sclose);
  hsize_t extents[H5S_MAX_RANK] = {}, chunk[H5S_MAX_RANK] = {};
  const int rank = H5Sget_simple_extent_dims(space, extents, nullptr);
  if (rank <= 0 || H5Pget_chunk(properties, H5S_MAX_RANK, chunk) != rank) return std::nullopt;
  table.extents.assign(extents, extents + rank);
  GREGALE_CHECK(table.parameters.chunk == Extents(chunk, chunk + rank), corrupt_data,
                "{}: the filter's parameters are for other chunks", name);
  double chunks = 1;
  for (int d = 0; d < rank; ++d) chunks *= static_cast<double>(extents[d]) / static_cast<double>(chunk[d]) + 1;
  if (chunks > static_cast<double>(kMostChunks)) return std::nullopt;
  const ChunkGrid grid(table.extents, table.parameters.chunk);
  for (int64_t i = 0; i < grid.size(); ++i) {
    const ChunkGrid::Box box = grid.box(i);
    const std::vector<hsize_t> start(box.start.begin(), box.start.end());
    unsigned skipped = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    if (H5Dget_chunk_info_by_coord(dataset, start.data(), &skipped, &address, &bytes) < 0 || address == HADDR_UNDEF ||
        skipped != 0 || bytes > static_cast<hsize_t>(INT32_MAX))
      return std::nullopt;
    table.chunks.push_back({static_cast<int64_t>(address), static_cast<int64_t>(bytes)});
  }
  return table;
}

/// As netCDF opens files: HDF5 refuses to open one twice with different wishes about closing.
hid_t open_file(const std::string& path, unsigned flags) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  return H5Fopen(path.c_str(), flags, access);
}

}  // namespace

void register_hdf5_filter() {
  static const bool done = [] {
    hdf5::Host host;
#define GREGALE_ASSIGN(name) host.name = &::name;
    GREGALE_HDF5_FUNCTIONS(GREGALE_ASSIGN)
#undef GREGALE_ASSIGN
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are told by those who get them
    return H5Zregister(hdf5::filter_class(host)) >= 0;
  }();
  GREGALE_CHECK(done, unsupported, "HDF5 refuses the filter of compressed variables");
}

ChunkReader::ChunkReader(const std::string& path, const std::vector<std::string>& datasets) : path_(path) {
  tables_.resize(datasets.size());
  {
    std::lock_guard lock(netcdf_mutex());
    register_hdf5_filter();
    const Handle file(open_file(path, H5F_ACC_RDONLY), H5Fclose);
    if (file < 0) return;  // classic netCDF
    for (size_t i = 0; i < datasets.size(); ++i) tables_[i] = table_of(file, datasets[i]);
  }
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  GREGALE_CHECK(descriptor_ >= 0, io, "cannot read {}: {}", path, std::strerror(errno));
}

ChunkReader::~ChunkReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ChunkReader::read(size_t dataset, int64_t index, Tensor& values, const DecodeOptions& options) const {
  const ChunkTable& table = *tables_[dataset];
  const ChunkTable::Chunk& chunk = table.chunks[static_cast<size_t>(index)];
  const auto where = [&] {
    const ChunkGrid grid(table.extents, table.parameters.chunk);
    return fmt::format("the chunk from ({}), at byte {} of the file", fmt::join(grid.box(index).start, ", "),
                       chunk.address);
  };
  std::vector<std::byte> bytes(static_cast<size_t>(chunk.bytes));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got = ::pread(descriptor_, bytes.data() + at, bytes.size() - at,
                                static_cast<off_t>(chunk.address + static_cast<int64_t>(at)));
    if (got < 0 && errno == EINTR) continue;
    GREGALE_CHECK(got >= 0, io, "cannot read {}: {}: {}", path_, where(), std::strerror(errno));
    GREGALE_CHECK(got > 0, corrupt_data, "truncated: {}: {}, ends {} bytes too early", path_, where(),
                  bytes.size() - at);
    at += static_cast<size_t>(got);
  }
  try {
    hdf5::decode_chunk_into(bytes, table.parameters, values, options);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("damaged netCDF file: {}: {}: {}", path_, where(), error.what()));
  }
}

ChunkWriter::ChunkWriter(const std::string& path) : path_(path) {
  std::lock_guard lock(netcdf_mutex());
  register_hdf5_filter();
  file_ = open_file(path, H5F_ACC_RDWR);
  if (file_ < 0) fail("opening it again");
}

ChunkWriter::~ChunkWriter() {
  std::lock_guard lock(netcdf_mutex());
  if (dataset_ >= 0) H5Dclose(dataset_);
  if (file_ >= 0) H5Fclose(file_);
}

void ChunkWriter::fail(const std::string& doing) const {
  throw_error(ErrorCode::io, fmt::format("cannot write {}: HDF5 refuses {}", path_, doing));
}

void ChunkWriter::open(const std::string& dataset, const Extents& extents) {
  std::lock_guard lock(netcdf_mutex());
  if (dataset_ >= 0) H5Dclose(dataset_);
  name_ = dataset;
  dataset_ = H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT);
  if (dataset_ < 0) fail(dataset);
  // Dimensions that can grow have no length yet where nothing was written through netCDF.
  const Handle space(H5Dget_space(dataset_), H5Sclose);
  hsize_t now[H5S_MAX_RANK] = {};
  const int rank = H5Sget_simple_extent_dims(space, now, nullptr);
  if (rank != static_cast<int>(extents.size())) fail(dataset);
  const std::vector<hsize_t> wanted(extents.begin(), extents.end());
  if (!std::equal(wanted.begin(), wanted.end(), now) && H5Dset_extent(dataset_, wanted.data()) < 0)
    fail("the extents of " + dataset);
}

void ChunkWriter::write(const Extents& start, std::span<const std::byte> stream) {
  std::lock_guard lock(netcdf_mutex());
  const std::vector<hsize_t> offset(start.begin(), start.end());
  if (H5Dwrite_chunk(dataset_, H5P_DEFAULT, 0, offset.data(), stream.size(), stream.data()) < 0)
    fail("a chunk of " + name_);
}

void ChunkWriter::close() {
  std::lock_guard lock(netcdf_mutex());
  const bool dataset_closed = dataset_ < 0 || H5Dclose(dataset_) >= 0;
  const bool file_closed = file_ < 0 || H5Fclose(file_) >= 0;
  dataset_ = file_ = -1;
  if (!dataset_closed || !file_closed) fail("closing it");
}

}  // namespace gregale::data
