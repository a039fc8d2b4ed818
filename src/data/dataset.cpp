// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/dataset.hpp"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <list>
#include <mutex>
#include <numeric>

#include "data/field_scan.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr size_t kOpenFiles = 32;
constexpr int64_t kMaxCells = int64_t{1} << 32;

// "T@500" -> T, 500.
struct Request {
  std::string text, name;
  std::optional<double> level;
};

Request parse_request(const std::string& text) {
  Request request{text, text, std::nullopt};
  const size_t at = text.rfind('@');
  if (at == std::string::npos) return request;
  request.name = text.substr(0, at);
  const std::string level = text.substr(at + 1);
  char* end = nullptr;
  const double value = std::strtod(level.c_str(), &end);
  GREGALE_CHECK(!level.empty() && *end == '\0' && std::isfinite(value), invalid_argument,
                "'{}' is not a variable at a level (expected such as T@500)", text);
  request.level = value;
  return request;
}

// Where one variable's records are.
struct Source {
  size_t file = 0;
  int64_t first = 0;  // record of the data set that is the file's first
  int64_t records = 0;
  int64_t level = 0;
};

class Fingerprint {
 public:
  void add(const void* bytes, size_t count) {
    const auto* p = static_cast<const unsigned char*>(bytes);
    for (size_t i = 0; i < count; ++i) hash_ = (hash_ ^ p[i]) * 0x100000001b3ULL;
  }
  void add_number(double value) {
    if (value == 0) value = 0;  // −0 is 0
    uint64_t bits = std::isnan(value) ? ~uint64_t{0} : 0;
    if (bits == 0) std::memcpy(&bits, &value, sizeof bits);
    add(&bits, sizeof bits);
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  uint64_t hash_ = 0xcbf29ce484222325ULL;
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// What can be asked for: names, with the levels of those that have several.
std::string available(const std::vector<ScannedFile>& files) {
  std::vector<std::string> names;
  for (const ScannedFile& file : files)
    for (const ScannedField& field : file.fields) {
      if (!field.refusal.empty()) continue;
      std::string name = field.name;
      if (field.levels(file.axes) > 1) {
        const auto& levels = file.axes[static_cast<size_t>(field.level_axis)].values;
        name += fmt::format("@{:g} to @{:g}", levels.front(), levels.back());
      }
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  return names.empty() ? "no fields" : join(names);
}

AxisInfo describe(const ScannedAxis& axis) {
  AxisInfo info{to_string(axis.kind), axis.coordinate, axis.units, 0, "", ""};
  auto format = [&](double value) {
    if (axis.kind == AxisKind::latitude) return grid::format_latitude(value);
    return axis.kind == AxisKind::longitude ? fmt::format("{:g}E", value) : fmt::format("{:g}", value);
  };
  info.size = static_cast<int64_t>(axis.values.size());
  if (!axis.values.empty()) {
    info.first = format(axis.values.front());
    info.last = format(axis.values.back());
  }
  return info;
}

}  // namespace

struct FieldDataset::State {
  std::vector<std::string> files;
  std::vector<ScannedFile> scanned;
  grid::LatLonGrid grid;
  grid::TimeAxis time;
  std::vector<FieldVariable> variables;
  std::vector<std::string> file_names_of;    // the variable's name in the file
  std::vector<std::vector<Source>> sources;  // per variable, ordered in time
  std::vector<AxisInfo> axes;

  // A few files stay open, the least recently used is closed first.
  std::mutex mutex;
  std::list<std::pair<size_t, std::shared_ptr<NetcdfFile>>> open;
  std::string fingerprint;

  std::shared_ptr<NetcdfFile> file(size_t index) {
    std::lock_guard lock(mutex);
    for (auto it = open.begin(); it != open.end(); ++it)
      if (it->first == index) {
        open.splice(open.begin(), open, it);
        return open.front().second;
      }
    auto opened = std::make_shared<NetcdfFile>(files[index]);
    keep(index, opened);
    return opened;
  }
  void keep(size_t index, std::shared_ptr<NetcdfFile> opened) {
    open.emplace_front(index, std::move(opened));
    if (open.size() > kOpenFiles) open.pop_back();
  }
  std::vector<std::string> default_variables() const;
  void add_variable(const Request& request);
  void join_in_time(const std::string& name, std::vector<Source>& sources, grid::TimeAxis& axis) const;
  std::string name_files(const std::vector<Source>& list) const {
    return list.size() == 1 ? files[list[0].file] : fmt::format("{} and {} more", files[list[0].file], list.size() - 1);
  }
};

std::vector<std::string> expand_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> result;
  for (const std::string& path : paths) {
    if (path.find_first_of("*?[") == std::string::npos) {
      result.push_back(path);
      continue;
    }
    glob_t matches{};
    const int status = ::glob(path.c_str(), 0, nullptr, &matches);  // sorted
    for (size_t i = 0; status == 0 && i < matches.gl_pathc; ++i) result.emplace_back(matches.gl_pathv[i]);
    ::globfree(&matches);
    if (status != 0) {
      // A file whose name holds brackets.
      std::string shown = path;
      bool exists = true;
      try {
        check_readable(path);
      } catch (const Error&) {
        exists = false;
      }
      GREGALE_CHECK(exists, io, "no file matches '{}'", shown);
      result.push_back(path);
    }
  }
  std::vector<std::string> unique;
  for (const std::string& path : result)
    if (std::find(unique.begin(), unique.end(), path) == unique.end()) unique.push_back(path);
  return unique;
}

std::vector<std::string> FieldDataset::State::default_variables() const {
  std::vector<std::string> names, without_time, with_levels;
  for (const ScannedFile& file : scanned)
    for (const ScannedField& field : file.fields) {
      if (!field.refusal.empty()) continue;
      auto& list = field.time_axis < 0 ? without_time : (field.levels(file.axes) > 1 ? with_levels : names);
      if (std::find(list.begin(), list.end(), field.name) == list.end()) list.push_back(field.name);
    }
  if (!names.empty()) return names;
  const std::string where = files.size() == 1 ? files[0] : fmt::format("{} files", files.size());
  if (!with_levels.empty())
    throw_error(
        ErrorCode::invalid_argument,
        fmt::format(
            "the variables of {} have several levels: name one, such as {}@{:g} (there are {})", where, with_levels[0],
            [&] {
              for (const ScannedFile& file : scanned)
                if (const ScannedField* field = file.find(with_levels[0]))
                  return file.axes[static_cast<size_t>(field->level_axis)].values.front();
              return 0.0;
            }(),
            available(scanned)));
  if (!without_time.empty())
    throw_error(ErrorCode::invalid_argument, fmt::format("{} has no time axis for {}", where, join(without_time)));
  std::string why;
  for (const ScannedFile& file : scanned)
    for (const ScannedField& field : file.fields)
      if (why.empty() && !field.refusal.empty()) why = fmt::format("; {} {}", field.name, field.refusal);
  std::vector<std::string> others;
  for (const ScannedFile& file : scanned)
    for (const std::string& name : file.others)
      if (others.size() < 8 && std::find(others.begin(), others.end(), name) == others.end()) others.push_back(name);
  if (why.empty() && !others.empty()) why = fmt::format("; it has {}", join(others));
  throw_error(ErrorCode::invalid_argument,
              fmt::format("no variable of {} has time, latitude and longitude axes{}", where, why));
}

void FieldDataset::State::join_in_time(const std::string& name, std::vector<Source>& list, grid::TimeAxis& axis) const {
  auto time_of = [&](const Source& source) -> const grid::TimeAxis& {
    const ScannedFile& file = scanned[source.file];
    return file.axes[static_cast<size_t>(file.find(name)->time_axis)].time;
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const Source& a, const Source& b) { return time_of(a).seconds(0) < time_of(b).seconds(0); });
  for (size_t i = 0; i < list.size(); ++i) {
    try {
      axis = axis.concatenated(time_of(list[i]));
    } catch (Error& error) {
      throw error.add_context(fmt::format("{} in {} and {}", name, files[list[i - 1].file], files[list[i].file]));
    }
    list[i].first = axis.size() - list[i].records;
  }
}

void FieldDataset::State::add_variable(const Request& request) {
  std::vector<Source> list;
  FieldVariable info;
  for (size_t f = 0; f < scanned.size(); ++f) {
    const ScannedFile& file = scanned[f];
    const ScannedField* field = file.find(request.name);
    if (field == nullptr) continue;
    GREGALE_CHECK(field->refusal.empty(), invalid_argument, "variable {} of {} {}", request.name, file.path,
                  field->refusal);
    GREGALE_CHECK(field->time_axis >= 0, invalid_argument, "variable {} of {} has no time axis", request.name,
                  file.path);
    Source source;
    source.file = f;
    const grid::TimeAxis& time = file.axes[static_cast<size_t>(field->time_axis)].time;
    source.records = time.size();
    if (source.records == 0) continue;

    const int64_t levels = field->levels(file.axes);
    if (request.level) {
      GREGALE_CHECK(field->level_axis >= 0, invalid_argument, "variable {} of {} has no levels", request.name,
                    file.path);
      const ScannedAxis& axis = file.axes[static_cast<size_t>(field->level_axis)];
      source.level = -1;
      for (size_t i = 0; i < axis.values.size(); ++i)
        if (std::abs(axis.values[i] - *request.level) <= 1e-3 * std::max(1e-3, std::abs(*request.level)))
          source.level = static_cast<int64_t>(i);
      std::vector<std::string> present;
      for (double value : axis.values) present.push_back(fmt::format("{:g}", value));
      GREGALE_CHECK(source.level >= 0, invalid_argument, "{} has no level {:g} in {} (it has {})", request.name,
                    *request.level, file.path, join(present));
      info.level = axis.values[static_cast<size_t>(source.level)];
      info.level_units = axis.units;
    } else {
      GREGALE_CHECK(levels <= 1, invalid_argument, "{} has {} levels in {}: name one, such as {}@{:g}", request.name,
                    levels, file.path, request.name, file.axes[static_cast<size_t>(field->level_axis)].values.front());
    }

    const grid::LatLonGrid found = file.grid_of(*field);
    if (grid.rows() == 0) {
      GREGALE_CHECK(found.cells() <= kMaxCells, invalid_argument, "the grid of {} is too large", file.path);
      grid = found;
      for (int axis : {field->latitude_axis, field->longitude_axis})
        axes.push_back(describe(file.axes[static_cast<size_t>(axis)]));
    }
    if (const std::string difference = grid.difference(found); !difference.empty()) {
      const bool same_file = !sources.empty() && sources[0][0].file == f && list.empty();
      const std::string first = sources.empty() ? files[list[0].file]
                                : same_file     ? fmt::format("{} of {}", variables[0].name, files[sources[0][0].file])
                                                : files[sources[0][0].file];
      const std::string second = same_file ? request.text : file.path;
      throw_error(ErrorCode::invalid_argument,
                  fmt::format("the grids of {} and {} differ: {}", first, second, difference));
    }
    if (field->level_axis >= 0 &&
        std::none_of(axes.begin(), axes.end(), [](const AxisInfo& axis) { return axis.kind == "level"; }))
      axes.insert(axes.begin(), describe(file.axes[static_cast<size_t>(field->level_axis)]));
    list.push_back(source);
  }
  GREGALE_CHECK(!list.empty(), invalid_argument, "no variable '{}' in {} ({} there)", request.name,
                files.size() == 1 ? files[0] : fmt::format("{} files", files.size()), available(scanned));

  grid::TimeAxis axis;
  join_in_time(request.name, list, axis);
  if (variables.empty()) {
    time = axis;
    const ScannedFile& file = scanned[list[0].file];
    const ScannedAxis& in_file = file.axes[static_cast<size_t>(file.find(request.name)->time_axis)];
    axes.insert(axes.begin(), AxisInfo{"time", in_file.coordinate, in_file.units, time.size(), time.label(0),
                                       time.label(time.size() - 1)});
  } else if (axis.seconds() != time.seconds() || axis.calendar() != time.calendar()) {
    throw_error(
        ErrorCode::invalid_argument,
        fmt::format("the times of {} ({}: {} records, {} to {}) and {} ({}: {} records, {} to {}) differ",
                    variables[0].name, name_files(sources[0]), time.size(), time.label(0), time.label(time.size() - 1),
                    request.text, name_files(list), axis.size(), axis.label(0), axis.label(axis.size() - 1)));
  }

  const NetcdfVariable& variable = file(list[0].file)->variable(request.name);
  info.name = request.text;
  info.units = variable.text("units");
  info.long_name = variable.text("long_name");
  info.standard_name = variable.text("standard_name");
  info.component = recognise_component(request.name, info.standard_name, info.long_name, info.units);
  for (const Source& source : list) {
    const std::string units = file(source.file)->variable(request.name).text("units");
    GREGALE_CHECK(units == info.units, invalid_argument, "the units of {} differ: '{}' in {} and '{}' in {}",
                  request.name, info.units, files[list[0].file], units, files[source.file]);
  }
  variables.push_back(std::move(info));
  file_names_of.push_back(request.name);
  sources.push_back(std::move(list));
}

FieldDataset FieldDataset::open(const std::vector<std::string>& paths, const std::vector<std::string>& variables) {
  GREGALE_CHECK(!paths.empty(), invalid_argument, "no data file is named");
  auto state = std::make_shared<State>();
  state->files = expand_paths(paths);
  for (size_t f = 0; f < state->files.size(); ++f) {
    auto file = std::make_shared<NetcdfFile>(state->files[f]);
    state->scanned.push_back(scan_fields(*file));
    state->keep(f, std::move(file));
  }
  const std::vector<std::string> names = variables.empty() ? state->default_variables() : variables;
  for (size_t i = 0; i < names.size(); ++i) {
    GREGALE_CHECK(std::find(names.begin(), names.begin() + static_cast<int64_t>(i), names[i]) ==
                      names.begin() + static_cast<int64_t>(i),
                  invalid_argument, "variable {} is named twice", names[i]);
    state->add_variable(parse_request(names[i]));
  }
  FieldDataset dataset;
  dataset.state_ = std::move(state);
  return dataset;
}

const grid::LatLonGrid& FieldDataset::grid() const { return state_->grid; }
const grid::TimeAxis& FieldDataset::time() const { return state_->time; }
const std::vector<FieldVariable>& FieldDataset::variables() const { return state_->variables; }
const std::vector<std::string>& FieldDataset::files() const { return state_->files; }
const std::vector<AxisInfo>& FieldDataset::axes() const { return state_->axes; }

int64_t FieldDataset::variable_index(const std::string& name) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < state_->variables.size(); ++i) {
    if (state_->variables[i].name == name) return static_cast<int64_t>(i);
    names.push_back(state_->variables[i].name);
  }
  throw_error(ErrorCode::invalid_argument, fmt::format("no variable '{}' (there are {})", name, join(names)));
}

void FieldDataset::read_field(int64_t record, int64_t variable, std::span<float> out) const {
  GREGALE_CHECK(record >= 0 && record < records(), invalid_argument, "record {} is outside 0 to {}", record,
                records() - 1);
  GREGALE_CHECK(variable >= 0 && variable < static_cast<int64_t>(variables().size()), invalid_argument,
                "variable {} is outside 0 to {}", variable, static_cast<int64_t>(variables().size()) - 1);
  GREGALE_ASSERT(static_cast<int64_t>(out.size()) == grid().cells());
  const auto v = static_cast<size_t>(variable);
  const auto& list = state_->sources[v];
  const auto after = std::upper_bound(list.begin(), list.end(), record,
                                      [](int64_t value, const Source& source) { return value < source.first; });
  const Source& source = *(after - 1);
  const auto file = state_->file(source.file);
  read_slice(*file, *state_->scanned[source.file].find(state_->file_names_of[v]), record - source.first, source.level,
             out);
}

Tensor FieldDataset::read(std::span<const int64_t> records, std::span<const int64_t> variables) const {
  Tensor result(DType::f32, {static_cast<int64_t>(records.size()), static_cast<int64_t>(variables.size()),
                             grid().rows(), grid().columns()});
  const auto cells = static_cast<size_t>(grid().cells());
  const std::span<float> out = result.as<float>();
  size_t at = 0;
  for (int64_t record : records)
    for (int64_t variable : variables) {
      read_field(record, variable, out.subspan(at, cells));
      at += cells;
    }
  return result;
}

Tensor FieldDataset::read(std::span<const int64_t> records) const {
  std::vector<int64_t> all(variables().size());
  std::iota(all.begin(), all.end(), 0);
  return read(records, all);
}

Tensor FieldDataset::read_all() const {
  std::vector<int64_t> all(static_cast<size_t>(records()));
  std::iota(all.begin(), all.end(), 0);
  return read(all);
}

std::string FieldDataset::fingerprint() const {
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->fingerprint.empty()) return state_->fingerprint;
  }
  Fingerprint hash;
  for (double latitude : grid().latitudes()) hash.add_number(std::round(latitude * 1e6));
  for (double longitude : grid().longitudes()) hash.add_number(std::round(std::fmod(longitude + 720, 360.0) * 1e6));
  hash.add_number(static_cast<double>(time().calendar()));
  for (int64_t seconds : time().seconds()) hash.add_number(static_cast<double>(seconds));
  std::vector<float> field(static_cast<size_t>(grid().cells()));
  for (size_t v = 0; v < variables().size(); ++v) {
    hash.add(variables()[v].name.c_str(), variables()[v].name.size() + 1);
    for (int64_t record = 0; record < records(); ++record) {
      read_field(record, static_cast<int64_t>(v), field);
      for (float& value : field) {
        if (std::isnan(value)) value = std::numeric_limits<float>::quiet_NaN();
        if (value == 0) value = 0;
      }
      hash.add(field.data(), field.size() * sizeof(float));
    }
  }
  std::lock_guard lock(state_->mutex);
  return state_->fingerprint = hash.text();
}

Tensor valid_mask(const Tensor& fields) {
  Tensor mask(DType::boolean, fields.extents());
  const auto in = fields.as<float>();
  const auto out = mask.as<bool>();
  for (size_t i = 0; i < in.size(); ++i) out[i] = !std::isnan(in[i]);
  return mask;
}

int64_t count_missing(const Tensor& fields) {
  const auto in = fields.as<float>();
  return std::count_if(in.begin(), in.end(), [](float value) { return std::isnan(value); });
}

}  // namespace gregale::data
