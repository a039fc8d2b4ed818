// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/tile_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/log.hpp"
#include "gregale/dtype.hpp"
#include "kernels/layout/layout_reference.hpp"
#include "kernels/layout/layout_table.hpp"

namespace gregale::kernels {
namespace {

constexpr const char* kOpNames[] = {"copy",       "zero",        "pad",           "transpose",     "vnni2",
                                    "vnni2_back", "panels16",    "panels16x3",    "column_panels", "split",
                                    "join",       "gather_rows", "gather_reduce", "dropout",       "dropout_backward"};
constexpr const char* kPoolingNames[] = {"sum", "max", "min"};
constexpr int64_t kLargest = int64_t{1} << 40;  // of an extent; products with it stay within 64 bits

const char* name_of(LayoutOp op) { return kOpNames[static_cast<size_t>(op)]; }
bool fixed(int64_t value) { return value != kAtCall; }

bool has_parts(const LayoutDesc& d) {
  return d.op == LayoutOp::panels16x3 || d.op == LayoutOp::split || d.op == LayoutOp::join;
}
bool is_dropout(const LayoutDesc& d) { return d.op == LayoutOp::dropout || d.op == LayoutOp::dropout_backward; }
int parts_of(const LayoutDesc& d) {
  return d.op == LayoutOp::panels16x3 ? 3 : d.op == LayoutOp::split || d.op == LayoutOp::join ? d.parts : 1;
}

/// What `leading` must at least be; kAtCall where it depends on what is given at the call, 0 where there is none.
int64_t least_src_leading(const LayoutDesc& d) {
  if (d.op == LayoutOp::zero) return 0;
  return d.trans ? d.m : d.n;
}
int64_t least_dst_leading(const LayoutDesc& d) {
  switch (d.op) {
    case LayoutOp::pad:
      return d.dst_n;
    case LayoutOp::transpose:
      return d.m;
    case LayoutOp::panels16:
    case LayoutOp::panels16x3:
      return fixed(d.m) ? 16 * round_up(d.m, 32) : kAtCall;
    case LayoutOp::column_panels:
      return fixed(d.m) ? d.m * d.width : kAtCall;
    case LayoutOp::gather_reduce:
      return 0;
    default:
      return d.n;
  }
}

void check_dtypes(const LayoutDesc& d) {
  bool fits = d.src == d.dst;
  switch (d.op) {
    case LayoutOp::vnni2:
    case LayoutOp::vnni2_back:
      fits = fits && d.src == DType::bf16;
      break;
    case LayoutOp::panels16:
      fits = (d.src == DType::bf16 && d.dst == DType::i8) ||
             ((d.src == DType::bf16 || d.src == DType::f32) && d.dst == DType::bf16);
      break;
    case LayoutOp::panels16x3:
    case LayoutOp::split:
      fits = d.src == DType::f32 && d.dst == DType::bf16;
      break;
    case LayoutOp::join:
      fits = d.src == DType::bf16 && d.dst == DType::f32;
      break;
    case LayoutOp::column_panels:
      fits = fits && (d.src == DType::f32 || d.src == DType::f64);
      break;
    case LayoutOp::gather_reduce:
      fits = d.src == DType::f64 ? d.dst == DType::f64
                                 : (d.src == DType::f32 || d.src == DType::bf16) && d.dst == DType::f32;
      break;
    case LayoutOp::dropout:
    case LayoutOp::dropout_backward:
      fits = fits && (d.src == DType::f32 || d.src == DType::bf16 || d.src == DType::f64);
      break;
    default:
      break;
  }
  GREGALE_CHECK(fits, invalid_argument, "[layout] {} does not take src {} to dst {}", name_of(d.op),
                gregale::name_of(d.src), gregale::name_of(d.dst));
}

void validate(const LayoutDesc& d) {
  GREGALE_CHECK(d.op <= LayoutOp::dropout_backward, invalid_argument, "[layout] op {} does not exist",
                static_cast<int>(d.op));
  for (const DType dtype : {d.src, d.dst, d.index})
    GREGALE_CHECK(static_cast<int>(dtype) < kDTypeCount, invalid_argument, "[layout] src, dst or index {} is no dtype",
                  static_cast<int>(dtype));
  const auto check_size = [&](const char* name, int64_t value) {
    GREGALE_CHECK(!fixed(value) || (value >= 0 && value <= kLargest), invalid_argument,
                  "[layout] {} of {} is {}, not in [0, 2^40] nor given at the call", name, name_of(d.op), value);
  };
  check_size("m", d.m);
  check_size("n", d.n);
  check_size("src_leading", d.src_leading);
  check_size("dst_leading", d.dst_leading);
  check_size("dst_m", d.dst_m);
  check_size("dst_n", d.dst_n);
  check_size("part", d.part);
  check_dtypes(d);
  const bool may_trans = d.op == LayoutOp::vnni2 || d.op == LayoutOp::panels16 || d.op == LayoutOp::panels16x3 ||
                         d.op == LayoutOp::column_panels;
  GREGALE_CHECK(!d.trans || may_trans, invalid_argument, "[layout] trans is nothing {} has", name_of(d.op));
  const bool is_pad = d.op == LayoutOp::pad;
  GREGALE_CHECK(is_pad || (!fixed(d.dst_m) && !fixed(d.dst_n)), invalid_argument,
                "[layout] dst_m and dst_n are for pad, not for {}", name_of(d.op));
  GREGALE_CHECK(!fixed(d.m) || !fixed(d.dst_m) || d.dst_m >= d.m, invalid_argument,
                "[layout] dst_m is {}, less than the {} rows of the source", d.dst_m, d.m);
  GREGALE_CHECK(!fixed(d.n) || !fixed(d.dst_n) || d.dst_n >= d.n, invalid_argument,
                "[layout] dst_n is {}, less than the {} columns of the source", d.dst_n, d.n);
  if (d.op == LayoutOp::column_panels)
    GREGALE_CHECK(d.width >= 1 && d.width <= 64, invalid_argument, "[layout] width is {}, not in [1, 64]", d.width);
  else
    GREGALE_CHECK(d.width == 0, invalid_argument, "[layout] width is for column_panels, not for {}", name_of(d.op));
  if (d.op == LayoutOp::split || d.op == LayoutOp::join)
    GREGALE_CHECK(d.parts == 2 || d.parts == 3, invalid_argument, "[layout] parts is {}, not 2 or 3", d.parts);
  else
    GREGALE_CHECK(d.parts == 0, invalid_argument, "[layout] parts is for split and join, not for {}", name_of(d.op));
  GREGALE_CHECK(has_parts(d) || !fixed(d.part), invalid_argument, "[layout] part is nothing {} has", name_of(d.op));
  GREGALE_CHECK(d.index == DType::i32 || d.index == DType::i64, invalid_argument,
                "[layout] index is {}, not i32 or i64", gregale::name_of(d.index));
  GREGALE_CHECK(d.pooling <= Pooling::min, invalid_argument, "[layout] pooling {} does not exist",
                static_cast<int>(d.pooling));
  GREGALE_CHECK(d.op == LayoutOp::gather_reduce || (!d.accumulate && d.pooling == Pooling::sum), invalid_argument,
                "[layout] accumulate and pooling are for gather_reduce, not for {}", name_of(d.op));
  const auto check_leading = [&](const char* name, int64_t leading, int64_t least) {
    GREGALE_CHECK(!fixed(leading) || !fixed(least) || leading >= least, invalid_argument,
                  "[layout] {} of {} is {}, less than {}", name, name_of(d.op), leading, least);
  };
  check_leading("src_leading", d.src_leading, least_src_leading(d));
  check_leading("dst_leading", d.dst_leading, least_dst_leading(d));
}

/// Bytes read and written, where the descriptor tells.
Traffic traffic_of(const LayoutDesc& d) {
  if (!fixed(d.m) || !fixed(d.n)) return {};
  const auto bytes = [](int64_t rows, int64_t columns, DType dtype) {
    return static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(size_of(dtype));
  };
  double read = bytes(d.m, d.n, d.src), written = bytes(d.m, d.n, d.dst);
  switch (d.op) {
    case LayoutOp::zero:
      read = 0;
      break;
    case LayoutOp::pad:
      if (!fixed(d.dst_m) || !fixed(d.dst_n)) return {};
      written = bytes(d.dst_m, d.dst_n, d.dst);
      break;
    case LayoutOp::vnni2:
      written = bytes(round_up(d.m, 2), d.n, d.dst);
      break;
    case LayoutOp::panels16:
    case LayoutOp::panels16x3:
      written = parts_of(d) * bytes(round_up(d.m, 32), round_up(d.n, 16), d.dst);
      break;
    case LayoutOp::column_panels:
      written = bytes(d.m, round_up(d.n, d.width), d.dst);
      break;
    case LayoutOp::split:
      written *= d.parts;
      break;
    case LayoutOp::join:
      read *= d.parts;
      break;
    case LayoutOp::gather_rows:
      read += bytes(d.m, 1, d.index);
      break;
    case LayoutOp::gather_reduce:
      read += bytes(d.m, 1, d.index) + (d.accumulate ? bytes(1, d.n, d.dst) : 0);
      written = bytes(1, d.n, d.dst);
      break;
    case LayoutOp::dropout:
      written += bytes(d.m, (d.n + 7) / 8, DType::u8);
      break;
    case LayoutOp::dropout_backward:
      read += bytes(d.m, (d.n + 7) / 8, DType::u8);
      break;
    default:
      break;
  }
  return {0, read + written, read + written};
}

class ReferenceLayout final : public LayoutKernel {
 public:
  explicit ReferenceLayout(const LayoutDesc& desc) : desc_(desc) {
    function_ = run;
    context_ = this;
    info_.isa = Isa::reference;
    info_.blocking = "element by element";
  }

 private:
  static void run(LayoutCall* call, const void* context) {
    const auto& self = *static_cast<const ReferenceLayout*>(context);
    LayoutArguments a = resolve(self.desc_, *call);
    layout_reference(self.desc_, a);
    call->range |= a.range;
  }
  LayoutDesc desc_;
};

class VectorKernel final : public LayoutKernel {
 public:
  VectorKernel(const LayoutDesc& desc, LayoutFunction vector_function, Isa isa)
      : desc_(desc), vector_function_(vector_function) {
    function_ = run;
    context_ = this;
    info_.isa = isa;
    const int lanes = isa == Isa::avx2 ? 8 : 16;
    const int64_t per_lane = std::max<int64_t>(1, 4 / size_of(desc.src));
    switch (desc.op) {
      case LayoutOp::transpose:
        info_.blocking = size_of(desc.src) == 8 ? fmt::format("blocks of {0}x{0}", lanes / 2)
                                                : fmt::format("blocks of {}x{}", lanes * per_lane, lanes);
        break;
      case LayoutOp::vnni2:
      case LayoutOp::panels16:
      case LayoutOp::panels16x3:
        info_.blocking = desc.trans ? fmt::format("blocks of {}x{}", 2 * lanes, lanes) : "pairs of rows";
        break;
      case LayoutOp::dropout:
        info_.blocking = fmt::format("{} blocks of random bits at once", lanes);
        break;
      default:
        info_.blocking = fmt::format("vectors of {} bytes", 4 * lanes);
    }
  }

 private:
  static void run(LayoutCall* call, const void* context) {
    const auto& self = *static_cast<const VectorKernel*>(context);
    LayoutArguments a = resolve(self.desc_, *call);
    self.vector_function_(a);
    call->range |= a.range;
  }
  LayoutDesc desc_;
  LayoutFunction vector_function_;
};

/// Null where the tables have no such thing.
LayoutFunction find(const LayoutDesc& d, const CopyTable& copy, const TransposeTable& transpose, const PackTable& pack,
                    const DropoutTable& dropout) {
  const int64_t size = size_of(d.src);
  const size_t trans = d.trans ? 1 : 0, i64 = d.index == DType::i64 ? 1 : 0;
  const auto of_size = [size](const LayoutFunction(&functions)[4]) {
    return size <= 8 ? functions[std::countr_zero(static_cast<uint64_t>(size))] : nullptr;
  };
  switch (d.op) {
    case LayoutOp::copy:
      return of_size(copy.copy);
    case LayoutOp::zero:
      return of_size(copy.zero);
    case LayoutOp::pad:
      return of_size(copy.pad);
    case LayoutOp::gather_rows:
      return of_size(copy.gather_rows[i64]);
    case LayoutOp::gather_reduce:
      return copy.gather_reduce[i64][d.src == DType::f32   ? 0
                                     : d.src == DType::f64 ? 1
                                                           : 2][static_cast<size_t>(d.pooling)];
    case LayoutOp::transpose:
      return of_size(transpose.transpose);
    case LayoutOp::vnni2:
      return d.trans ? transpose.vnni2_trans : pack.vnni2;
    case LayoutOp::vnni2_back:
      return pack.vnni2_back;
    case LayoutOp::column_panels:
      return transpose.column_panels[d.src == DType::f32 ? 0 : 1][trans];
    case LayoutOp::panels16:
      if (d.dst == DType::i8) return nullptr;
      return pack.panels16[d.src == DType::bf16 ? 0 : 1][trans];
    case LayoutOp::panels16x3:
      return pack.panels16x3[trans];
    case LayoutOp::split:
      return pack.split[d.parts - 2];
    case LayoutOp::join:
      return pack.join[d.parts - 2];
    case LayoutOp::dropout:
    case LayoutOp::dropout_backward: {
      if (d.src == DType::f64) return nullptr;
      const size_t bf16 = d.src == DType::bf16 ? 1 : 0;
      return d.op == LayoutOp::dropout ? dropout.dropout[bf16] : dropout.backward[bf16];
    }
  }
  return nullptr;
}

Result<std::shared_ptr<LayoutKernel>> vector_kernel(const Target& target, const LayoutDesc& desc, Isa isa,
                                                    LayoutFunction function) {
  if (target.isa < isa) {
    return Error(ErrorCode::unsupported, fmt::format("the target has no {}", to_string(isa)));
  }
  if (function == nullptr) {
    return Error(ErrorCode::unsupported,
                 fmt::format("it has no {} of {}", name_of(desc.op), gregale::name_of(desc.src)));
  }
  return std::shared_ptr<LayoutKernel>(std::make_shared<VectorKernel>(desc, function, isa));
}
Result<std::shared_ptr<LayoutKernel>> make_avx512(const Target& target, const LayoutDesc& desc) {
  return vector_kernel(target, desc, Isa::avx512,
                       find(desc, isa_avx512::copy_table, isa_avx512::transpose_table, isa_avx512::pack_table,
                            isa_avx512::dropout_table));
}
Result<std::shared_ptr<LayoutKernel>> make_avx2(const Target& target, const LayoutDesc& desc) {
  return vector_kernel(
      target, desc, Isa::avx2,
      find(desc, isa_avx2::copy_table, isa_avx2::transpose_table, isa_avx2::pack_table, isa_avx2::dropout_table));
}
Result<std::shared_ptr<LayoutKernel>> make_reference(const Target&, const LayoutDesc& desc) {
  return std::shared_ptr<LayoutKernel>(std::make_shared<ReferenceLayout>(desc));
}

/// Fastest first; the last never refuses.
constexpr LayoutImplementation kLayoutKernels[] = {
    {"avx512", make_avx512},
    {"avx2", make_avx2},
    {"reference", make_reference},
};

}  // namespace

std::string to_string(const LayoutDesc& d) {
  const bool convert = d.src != d.dst;
  std::string text = fmt::format("layout {} {}{}{} {}x{}", name_of(d.op), gregale::name_of(d.src), convert ? "->" : "",
                                 convert ? gregale::name_of(d.dst) : "", value_text(d.m), value_text(d.n));
  if (d.op == LayoutOp::pad) text += fmt::format(" to {}x{}", value_text(d.dst_m), value_text(d.dst_n));
  if (d.trans) text += " trans";
  if (d.width != 0) text += fmt::format(" width {}", d.width);
  if (d.parts != 0) text += fmt::format(" parts {}", d.parts);
  if (d.op == LayoutOp::gather_reduce) {
    text += fmt::format(" {}{}", kPoolingNames[static_cast<size_t>(d.pooling)], d.accumulate ? " accumulate" : "");
  }
  if (d.op == LayoutOp::gather_reduce || d.op == LayoutOp::gather_rows) {
    text += fmt::format(" index {}", gregale::name_of(d.index));
  }
  text += fmt::format(", leading {} to {}", value_text(d.src_leading), value_text(d.dst_leading));
  if (has_parts(d)) text += fmt::format(", part {}", value_text(d.part));
  if (d.stream) text += ", stream";
  return text;
}

LayoutArguments resolve(const LayoutDesc& d, const LayoutCall& c) {
  const auto pick = [](int64_t of_desc, int64_t of_call) { return fixed(of_desc) ? of_desc : of_call; };
  LayoutArguments a{};
  a.src = c.src;
  a.dst = c.dst;
  a.m = pick(d.m, c.m);
  a.n = pick(d.n, c.n);
  a.src_leading = pick(d.src_leading, c.src_leading);
  a.dst_leading = pick(d.dst_leading, c.dst_leading);
  a.dst_m = pick(d.dst_m, c.dst_m);
  a.dst_n = pick(d.dst_n, c.dst_n);
  a.width = d.width;
  a.part = has_parts(d) ? pick(d.part, c.part) : 0;
  a.indices = c.indices;
  a.accumulate = d.accumulate;
  a.stream = d.stream;
  if (is_dropout(d)) {
    a.seed = c.key.seed;
    a.step = c.key.step;
    a.stream_number = c.key.stream;
    a.offset = c.offset;
    a.row_stride = c.row_stride;
    // A uniform is the upper 24 bits times 2^-24: at least `rate` where these bits are at least rate 2^24, rounded up.
    const double rate = c.rate > 0 ? std::min(c.rate, 1.0) : 0;
    a.threshold = static_cast<uint64_t>(std::ceil(rate * 0x1p24)) << 8;
    a.scale = 1 / (1 - rate);
    a.mask = c.mask;
    a.mask_leading = c.mask_leading;
  }
  return a;
}

std::shared_ptr<const LayoutKernel> LayoutKernel::compile(const Target& target, const LayoutDesc& desc) {
  validate(desc);
  std::vector<std::string> refusals;
  for (const LayoutImplementation& implementation : kLayoutKernels) {
    auto made = implementation.make(target, desc);
    if (!made) {
      refusals.push_back(fmt::format("{}: {}", implementation.name, made.error().message()));
      continue;
    }
    std::shared_ptr<LayoutKernel> kernel = std::move(made).value();
    KernelInfo& info = kernel->info_;
    info.request = to_string(desc);
    info.implementation = implementation.name;
    info.traffic = traffic_of(desc);
    info.refusals = std::move(refusals);
    if (log_enabled("kernels")) log_line("kernels", kernels::to_string(info));
    return kernel;
  }
  throw_error(ErrorCode::internal, "[layout] the reference refused");
}

}  // namespace gregale::kernels
