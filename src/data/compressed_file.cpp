// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/compressed_file.hpp"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netcdf.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "codec/block_codec.hpp"
#include "data/cf_roles.hpp"
#include "data/chunk_grid.hpp"
#include "data/field_check.hpp"
#include "data/hdf5_file.hpp"
#include "data/netcdf_copy.hpp"
#include "data/output_file.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

using Kind = ErrorContract::Kind;

constexpr const char* kAttribute = "gregale_compression";
constexpr int64_t kWorthCompressing = 1024;  // bytes: the chunk's index takes more
constexpr int64_t kWorthDeflating = 4096;
constexpr int64_t kDeflatedChunk = 1 << 20;
constexpr int64_t kScanBox = 16 << 20;
constexpr int64_t kBatchBytes = int64_t{1} << 28;    // of values that are worked on at once
constexpr int64_t kLearnedBytes = int64_t{1} << 28;  // of a variable that is learned from as a whole
constexpr size_t kMostMissing = 100;                 // HDF5 keeps 256 parameters

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Runs body(0..count-1): each on a thread, or a single one on all, which the codec then uses.
template <class Body>
void for_each(ThreadTeam* team, int64_t count, Body&& body) {
  if (team == nullptr) {
    for (int64_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_for(*team, count, 1, [&](int64_t begin, int64_t, int) { body(begin); });
  }
}

int64_t batch_size(ThreadTeam* team, int64_t chunk_bytes) {
  return std::clamp<int64_t>(kBatchBytes / std::max<int64_t>(chunk_bytes, 1), 1, team != nullptr ? team->size() : 1);
}

DType dtype_of(const CopyVariable& v) { return v.description.type == NC_FLOAT ? DType::f32 : DType::f64; }

class ProgressCount {
 public:
  ProgressCount(std::function<void(int64_t, int64_t, const std::string&)> tell) : tell_(std::move(tell)) {}
  void expect(int64_t bytes) { total_ += bytes; }
  void add(int64_t bytes, const std::string& variable) {
    done_ += bytes;
    if (tell_) tell_(done_, total_, variable);
  }

 private:
  std::function<void(int64_t, int64_t, const std::string&)> tell_;
  int64_t done_ = 0, total_ = 0;
};

/// Variables that stay as they are: in chunks that any HDF5 reads, deflated where that is worth it.
void plan_kept(CopyVariable& v) {
  CopyStorage& s = v.storage;
  const bool plain = v.description.type <= NC_MAX_ATOMIC_TYPE && v.description.type != NC_STRING;
  const bool deflate = plain && v.bytes() >= kWorthDeflating;
  if (v.description.extents.empty()) return;
  if (s.chunk.empty() && (deflate || v.can_grow))
    s.chunk = choose_box(v.description.extents, {}, std::max<int64_t>(v.element_bytes, 1), kDeflatedChunk, true);
  if (deflate && s.deflate == 0) {
    s.shuffle = true;
    s.deflate = 1;
  }
}

/// A field and what is to be done with it.
struct Field {
  CopyVariable* variable = nullptr;
  NetcdfMissing missing;
  ErrorContract asked;
  hdf5::ChunkParameters parameters;
  FieldScan scan;
  bool lossy() const { return parameters.contract.kind != Kind::exact; }
};

bool needs_scan(const Field& f) {
  return f.asked.kind == Kind::rel_max ||
         (f.asked.kind == Kind::abs_max && (std::isfinite(f.missing.low) || std::isfinite(f.missing.high)));
}

void scan_field(const NetcdfCopy& copy, Field& f, ProgressCount& progress) {
  const CopyVariable& v = *f.variable;
  const Extents box = choose_box(v.description.extents, v.storage.chunk, v.element_bytes, kScanBox, false);
  copy.expect_boxes(v, box);
  const ChunkGrid grid(v.description.extents, box);
  for (int64_t i = 0; i < grid.size(); ++i) {
    const ChunkGrid::Box b = grid.box(i);
    Tensor values(dtype_of(v), b.extents);
    copy.read(v, b.start, b.extents, values.data());
    f.scan.add(values, f.missing);
    progress.add(values.bytes(), v.path);
  }
}

/// Chunks and contract, now that the field's range is known.
void plan_field(Field& f, int64_t chunk_bytes) {
  CopyVariable& v = *f.variable;
  hdf5::ChunkParameters& p = f.parameters;
  p.dtype = dtype_of(v);
  p.chunk = choose_box(v.description.extents, {}, v.element_bytes, chunk_bytes, true);
  const double bound = f.asked.kind == Kind::rel_max ? f.asked.bound * f.scan.width() : f.asked.bound;
  std::vector<double> missing = f.missing.values;
  missing.insert(missing.end(), f.scan.outside.begin(), f.scan.outside.end());
  // Nothing to lose in a constant field; and what cannot be said to the codec is not put at risk.
  if (f.asked.kind != Kind::exact && bound > 0 && std::isfinite(bound) && !f.scan.too_many_outside &&
      missing.size() <= kMostMissing) {
    p.contract = ErrorContract::absolute(bound);
    p.contract.missing = std::move(missing);
    p.valid_low = f.missing.low;
    p.valid_high = f.missing.high;
  }
  v.storage = {};
  v.storage.chunk = p.chunk;
  v.storage.filter = p.numbers();
}

/// Values in memory of a workspace.
struct Borrowed {
  codec::Buffer<std::byte> memory;
  Tensor values;
  Borrowed() = default;
  Borrowed(CodecWorkspace& workspace, DType dtype, const Extents& extents)
      : memory(workspace.take<std::byte>(static_cast<size_t>(element_count(extents) * size_of(dtype)))),
        values(Tensor::borrow(memory.data(), dtype, extents)) {}
};

/// One chunk on its way into the file.
struct Chunk {
  ChunkGrid::Box box;
  Borrowed original, decoded;
  Encoded encoded;
  FieldCheck check;
};

class FieldEncoder {
 public:
  FieldEncoder(const NetcdfCopy& copy, const Field& field, const CompressOptions& options, CodecWorkspace& workspace)
      : copy_(copy), field_(field), options_(options), variable_(*field.variable), workspace_(workspace) {
    result_.path = variable_.path;
  }

  CompressedVariable run(ChunkWriter& writer, LibraryFile& file, ProgressCount& progress) {
    const ChunkGrid grid(variable_.description.extents, field_.parameters.chunk);
    copy_.expect_boxes(variable_, field_.parameters.chunk);
    learn(grid);
    const int64_t step = batch_size(options_.team, field_.parameters.bytes());
    XXH3_state_t* hash = XXH3_createState();
    const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> owner(hash, XXH3_freeState);
    XXH3_64bits_reset(hash);
    for (int64_t begin = 0; begin < grid.size(); begin += step) {
      std::vector<Chunk> chunks(static_cast<size_t>(std::min(step, grid.size() - begin)));
      for (size_t i = 0; i < chunks.size(); ++i) {
        chunks[i].box = grid.box(begin + static_cast<int64_t>(i));
        const auto memory = [&] { return Borrowed(workspace_, dtype_of(variable_), chunks[i].box.extents); };
        chunks[i].original = memory();
        chunks[i].decoded = memory();
        copy_.read(variable_, chunks[i].box.start, chunks[i].box.extents, chunks[i].original.values.data());
      }
      code(chunks);
      for (const Chunk& chunk : chunks) {
        file.reserve(static_cast<int64_t>(chunk.encoded.bytes.size()));
        writer.write(chunk.box.start, chunk.encoded.bytes);
        XXH3_64bits_update(hash, chunk.decoded.memory.data(), chunk.decoded.memory.size());
        count(chunk);
        progress.add(chunk.original.values.bytes(), variable_.path);
      }
    }
    finish(XXH3_64bits_digest(hash));
    return result_;
  }

 private:
  void learn(const ChunkGrid& grid) {
    if (!options_.learn || !field_.lossy() || grid.size() == 0) return;
    ChunkGrid::Box box = grid.box(0);
    if (variable_.bytes() <= kLearnedBytes)
      box = {std::vector<int64_t>(box.start.size(), 0), variable_.description.extents};
    const Borrowed values(workspace_, dtype_of(variable_), box.extents);
    copy_.read(variable_, box.start, box.extents, values.memory.data());
    result_.learned = options_.learn(variable_.path, values.values, field_.parameters.contract.missing);
  }

  void code(std::vector<Chunk>& chunks) {
    EncodeOptions options;
    options.codec = options_.codec;
    if (result_.learned.codec != nullptr) {
      options.codec = result_.learned.codec->name();
      options.more_codecs = {result_.learned.codec};
    }
    options.team = options_.team;
    options.workspace = &workspace_;
    options.verify = false;  // all is decompressed and compared here
    DecodeOptions decoding;
    decoding.team = options_.team;
    decoding.workspace = &workspace_;
    const auto encode = [&](Chunk& c, const hdf5::ChunkParameters& p) {
      c.encoded = hdf5::encode_chunk(c.original.values, p, options);
    };
    const auto decode = [&](Chunk& c) {
      hdf5::decode_chunk_into(c.encoded.bytes, field_.parameters, c.decoded.values, decoding);
    };
    const auto check = [&](Chunk& c, double bound) {
      c.check = check_field(c.original.values, c.decoded.values, field_.missing, bound);
      return c.check.wrong == 0;
    };
    const auto number = static_cast<int64_t>(chunks.size());
    const auto each = [&](auto&& body) {
      for_each(options_.team, number, [&](int64_t i) { body(chunks[static_cast<size_t>(i)]); });
    };
    const double begin = now();
    each([&](Chunk& c) { encode(c, field_.parameters); });
    const double encoded = now();
    each(decode);
    const double decoded = now();
    result_.encode_seconds += encoded - begin;
    result_.decode_seconds += decoded - encoded;
    each([&](Chunk& c) {
      const double bound = field_.parameters.contract.bound;
      if (check(c, field_.lossy() ? bound : 0)) return;
      // Some miss the bound: they are stored exactly beside the others, or all are.
      EncodeOptions careful = options;
      careful.verify = true;
      c.encoded = hdf5::encode_chunk(c.original.values, field_.parameters, careful);
      decode(c);
      if (check(c, field_.lossy() ? bound : 0)) return;
      hdf5::ChunkParameters exact = field_.parameters;
      exact.contract = ErrorContract::lossless();
      encode(c, exact);
      decode(c);
      GREGALE_CHECK(check(c, 0), internal, "{}: {} values changed in lossless compression", variable_.path,
                    c.check.wrong);
    });
  }

  void count(const Chunk& chunk) {
    total_.add(chunk.check);
    Certificate& c = result_.certificate;
    c.values += chunk.original.values.size();
    c.bytes_in += chunk.original.values.bytes();
    c.bytes_out += static_cast<int64_t>(chunk.encoded.bytes.size());
    codecs_[chunk.encoded.certificate.codec] += chunk.original.values.size();
  }

  void finish(uint64_t hash) {
    Certificate& c = result_.certificate;
    const double n = static_cast<double>(std::max<int64_t>(total_.valid, 1));
    c.bound = field_.lossy() ? field_.parameters.contract.bound : 0;
    c.valid = total_.valid;
    c.max_error = total_.max_error;
    c.rms = std::sqrt(total_.squares / n);
    c.bias = total_.sum / n;
    c.range = total_.greatest - total_.least;
    c.hash = hash;
    c.encode_ns = static_cast<int64_t>(result_.encode_seconds * 1e9);
    c.decode_ns = static_cast<int64_t>(result_.decode_seconds * 1e9);
    const auto most =
        std::max_element(codecs_.begin(), codecs_.end(), [](auto& a, auto& b) { return a.second < b.second; });
    c.codec = most != codecs_.end() ? most->first : "exact";
  }

  const NetcdfCopy& copy_;
  const Field& field_;
  const CompressOptions& options_;
  const CopyVariable& variable_;
  CodecWorkspace& workspace_;
  CompressedVariable result_;
  FieldCheck total_;
  std::map<std::string, int64_t> codecs_;
};

/// "predictive, |error| <= 0.0336 (0.001 of the range)"
std::string describe(const Field& f, const Certificate& c) {
  std::string text = fmt::format("{}, |error| <= {}", c.codec, c.bound);
  if (f.asked.kind == Kind::rel_max) text += fmt::format(" ({} of the range)", f.asked.bound);
  const std::string before = f.variable->description.text(kAttribute);
  return before.empty() ? text : before + "; then " + text;
}

/// Sorts variables into fields and others.
std::vector<Field> choose_fields(NetcdfCopy& copy, const std::string& in, const CompressOptions& options,
                                 CompressionReport& report) {
  std::vector<const NetcdfVariable*> descriptions;
  for (const CopyVariable& v : copy.variables()) descriptions.push_back(&v.description);
  const std::vector<std::string> reasons = reasons_to_keep(descriptions, copy.attributes());
  std::map<std::string, ErrorContract> wanted = options.by_name;
  std::vector<Field> fields;
  std::vector<std::string> names;
  for (size_t i = 0; i < reasons.size(); ++i) {
    CopyVariable& v = copy.variables()[i];
    const auto named = wanted.find(v.path);
    if (reasons[i].empty()) names.push_back(v.path);
    GREGALE_CHECK(named == wanted.end() || reasons[i].empty() || named->second.kind == Kind::exact, usage,
                  "{} of {} is kept exactly: {}", v.path, in, reasons[i]);
    std::string reason = reasons[i];
    if (reason.empty() && v.bytes() < kWorthCompressing) reason = "small";
    if (reason.empty()) {
      Field f;
      f.variable = &v;
      f.missing = missing_of(v.description);
      f.asked = named != wanted.end() ? named->second : options.contract;
      fields.push_back(std::move(f));
    } else {
      report.kept[v.path] = reason;
      plan_kept(v);
    }
    if (named != wanted.end()) wanted.erase(named);
  }
  if (!wanted.empty())
    throw_error(ErrorCode::usage,
                fmt::format("no variable '{}' in {}; its fields are {}", wanted.begin()->first, in,
                            names.empty() ? std::string("none") : fmt::format("{}", fmt::join(names, ", "))));
  return fields;
}

void check_paths(const std::string& in, const std::string& out) {
  std::error_code none;
  GREGALE_CHECK(!std::filesystem::equivalent(in, out, none), usage,
                "{} is the file to be read: give the result another name", out);
}

}  // namespace

CompressionReport compress_file(const std::string& in, const std::string& out, const CompressOptions& options) {
  CompressionReport report;
  NetcdfCopy copy(in);
  check_paths(in, out);
  std::vector<Field> fields = choose_fields(copy, in, options, report);
  ProgressCount progress(options.progress);
  for (const CopyVariable& v : copy.variables()) progress.expect(v.bytes());
  for (const Field& f : fields)
    if (needs_scan(f)) progress.expect(f.variable->bytes());
  for (Field& f : fields) {
    if (needs_scan(f)) scan_field(copy, f, progress);
    plan_field(f, options.chunk_bytes);
  }
  LibraryFile file(out);
  file.reserve(0);
  copy.create(file.temporary_path(), out, options.history);
  for (const CopyVariable& v : copy.variables()) {
    if (report.kept.count(v.path) == 0) continue;
    file.reserve(v.bytes());
    copy.copy_values(v, [&](int64_t bytes) { progress.add(bytes, v.path); });
  }
  copy.close_target();
  std::vector<std::pair<std::string, std::string>> notes;
  {
    ChunkWriter writer(file.temporary_path());
    const auto workspace = make_codec_workspace();
    for (const Field& f : fields) {
      writer.open(f.variable->hdf5_path(), f.variable->description.extents);
      report.variables.push_back(FieldEncoder(copy, f, options, *workspace).run(writer, file, progress));
      const Certificate& c = report.variables.back().certificate;
      if (c.max_error > 0) notes.emplace_back(f.variable->path, describe(f, c));
    }
    writer.close();
  }
  put_text_attributes(file.temporary_path(), out, kAttribute, notes);
  file.commit();
  std::error_code none;
  report.file_bytes_in = static_cast<int64_t>(std::filesystem::file_size(in, none));
  report.file_bytes_out = static_cast<int64_t>(std::filesystem::file_size(out, none));
  return report;
}

CompressionReport decompress_file(const std::string& in, const std::string& out, const DecompressOptions& options) {
  CompressionReport report;
  std::vector<std::string> datasets;
  std::unique_ptr<ChunkReader> reader;
  const auto workspace = make_codec_workspace();
  {
    NetcdfCopy names(in);  // HDF5 and netCDF do not open one file at once
    for (const CopyVariable& v : names.variables()) datasets.push_back(v.hdf5_path());
  }
  reader = std::make_unique<ChunkReader>(in, datasets);
  NetcdfCopy copy(in);
  check_paths(in, out);
  ProgressCount progress(options.progress);
  const auto table_of = [&](size_t i) -> const ChunkTable* {
    const auto& table = reader->table(i);
    const CopyVariable& v = copy.variables()[i];
    const bool fits = table && table->extents == v.description.extents &&
                      size_of(table->parameters.dtype) == v.element_bytes && !table->parameters.swapped;
    return fits ? &*table : nullptr;
  };
  for (size_t i = 0; i < datasets.size(); ++i) {
    CopyVariable& v = copy.variables()[i];
    progress.expect(v.bytes());
    if (table_of(i) != nullptr && !v.can_grow) v.storage = {};
  }
  LibraryFile file(out);
  file.reserve(0);
  copy.create(file.temporary_path(), out, options.history);
  for (size_t i = 0; i < datasets.size(); ++i) {
    const CopyVariable& v = copy.variables()[i];
    file.reserve(v.bytes());
    const ChunkTable* table = table_of(i);
    if (table == nullptr) {
      report.kept[v.path] = "not compressed";
      copy.copy_values(v, [&](int64_t bytes) { progress.add(bytes, v.path); });
      continue;
    }
    CompressedVariable result;
    result.path = v.path;
    Certificate& c = result.certificate;
    c.bound = table->parameters.contract.bound;
    c.values = v.values();
    c.bytes_in = v.bytes();
    const ChunkGrid grid(table->extents, table->parameters.chunk);
    const int64_t step = batch_size(options.team, table->parameters.bytes());
    XXH3_state_t* hash = XXH3_createState();
    const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> owner(hash, XXH3_freeState);
    XXH3_64bits_reset(hash);
    for (int64_t begin = 0; begin < grid.size(); begin += step) {
      std::vector<Borrowed> chunks;
      while (static_cast<int64_t>(chunks.size()) < std::min(step, grid.size() - begin)) {
        const int64_t next = begin + static_cast<int64_t>(chunks.size());
        chunks.emplace_back(*workspace, table->parameters.dtype, grid.box(next).extents);
      }
      const double start = now();
      for_each(options.team, static_cast<int64_t>(chunks.size()), [&](int64_t k) {
        try {
          DecodeOptions decoding;
          decoding.team = options.team;
          decoding.workspace = workspace.get();
          reader->read(i, begin + k, chunks[static_cast<size_t>(k)].values, decoding);
        } catch (const Error& error) {
          throw Error(error.code(), fmt::format("{}: {}", v.path, error.what()));
        }
      });
      result.decode_seconds += now() - start;
      for (size_t k = 0; k < chunks.size(); ++k) {
        const ChunkGrid::Box box = grid.box(begin + static_cast<int64_t>(k));
        copy.write(v, box.start, box.extents, chunks[k].values.data());
        XXH3_64bits_update(hash, chunks[k].memory.data(), chunks[k].memory.size());
        c.bytes_out += table->chunks[static_cast<size_t>(begin) + k].bytes;
        progress.add(box.values * v.element_bytes, v.path);
      }
    }
    c.hash = XXH3_64bits_digest(hash);
    report.variables.push_back(std::move(result));
  }
  copy.close_target();
  file.commit();
  std::error_code none;
  report.file_bytes_in = static_cast<int64_t>(std::filesystem::file_size(in, none));
  report.file_bytes_out = static_cast<int64_t>(std::filesystem::file_size(out, none));
  return report;
}

}  // namespace gregale::data
