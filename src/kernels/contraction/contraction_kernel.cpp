// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_kernel.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "kernels/contraction/contraction_implementations.hpp"
#include "kernels/expression/expression_analysis.hpp"

namespace gregale::kernels {
namespace {

/// Fastest first; the last never refuses.
constexpr ContractionImplementation kContractionKernels[] = {
    {"amx", make_contraction_amx},
    {"vector", make_contraction_vector},
    {"reference", make_contraction_reference},
};

const char* to_string(Compute compute) {
  switch (compute) {
    case Compute::f32:
      return "f32";
    case Compute::f64:
      return "f64";
    case Compute::bf16:
      return "bf16";
    case Compute::fp32x3:
      return "fp32x3";
  }
  return "?";
}

const char* to_string(Packing packing) {
  switch (packing) {
    case Packing::plain:
      return "plain";
    case Packing::vnni2:
      return "vnni2";
    case Packing::panels16:
      return "panels16";
    case Packing::panels16x3:
      return "panels16x3";
  }
  return "?";
}

void check_leading(const char* name, int64_t leading, int64_t row) {
  GREGALE_CHECK(leading == kAtCall || leading >= 0, invalid_argument, "[contraction] {} is {}, a negative number", name,
                leading);
  GREGALE_CHECK(leading == kAtCall || row == kAtCall || leading >= row, invalid_argument,
                "[contraction] {} is {}, less than the {} elements of a row", name, leading, row);
}

bool is_f32_or_bf16(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

void validate_dtypes(const ContractionDesc& d) {
  switch (d.compute) {
    case Compute::f64:
      GREGALE_CHECK(d.a == DType::f64 && d.b == DType::f64 && d.c == DType::f64, invalid_argument,
                    "[contraction] compute f64 takes f64 operands, not {}, {}, {}", name_of(d.a), name_of(d.b),
                    name_of(d.c));
      break;
    case Compute::f32:
      GREGALE_CHECK(is_f32_or_bf16(d.a) && is_f32_or_bf16(d.b) && is_f32_or_bf16(d.c), invalid_argument,
                    "[contraction] compute f32 takes f32 and bf16 operands, not {}, {}, {}", name_of(d.a), name_of(d.b),
                    name_of(d.c));
      break;
    case Compute::bf16:
      GREGALE_CHECK(d.a == DType::bf16 && (d.b == DType::bf16 || d.b == DType::i8) && is_f32_or_bf16(d.c),
                    invalid_argument,
                    "[contraction] compute bf16 takes bf16 operands, or b in i8, and gives f32 or bf16, not {}, {}, {}",
                    name_of(d.a), name_of(d.b), name_of(d.c));
      break;
    case Compute::fp32x3:
      GREGALE_CHECK(d.a == DType::f32 && is_f32_or_bf16(d.c), invalid_argument,
                    "[contraction] compute fp32x3 takes f32 a and gives f32 or bf16, not {}, {}", name_of(d.a),
                    name_of(d.c));
      GREGALE_CHECK(d.b == (d.b_packing == Packing::panels16x3 ? DType::bf16 : DType::f32), invalid_argument,
                    "[contraction] compute fp32x3 takes b in plain f32 or in panels16x3 of bf16, not {}", name_of(d.b));
      break;
  }
}

void validate_packing(const ContractionDesc& d) {
  GREGALE_CHECK((d.b_packing == Packing::panels16x3) <= (d.compute == Compute::fp32x3), invalid_argument,
                "[contraction] b_packing panels16x3 is fp32x3's alone");
  const bool bytes = d.b == DType::i8;
  GREGALE_CHECK(!bytes || d.b_packing == Packing::panels16, invalid_argument,
                "[contraction] b of i8 is in panels16, not {}", to_string(d.b_packing));
  if (d.b_packing == Packing::plain) return;
  GREGALE_CHECK(d.b == DType::bf16 || bytes, invalid_argument, "[contraction] b_packing {} holds bf16, not {}",
                to_string(d.b_packing), name_of(d.b));
  GREGALE_CHECK(!d.trans_b, invalid_argument, "[contraction] trans_b is for plain b, not {}", to_string(d.b_packing));
  if (d.b_packing == Packing::vnni2) return;
  GREGALE_CHECK(d.ldb == kAtCall || d.ldb % 512 == 0, invalid_argument,
                "[contraction] ldb of {} is {}, not 16 times a multiple of 32", to_string(d.b_packing), d.ldb);
  GREGALE_CHECK(d.ldb == kAtCall || d.k == kAtCall || d.ldb >= 16 * ((d.k + 31) / 32 * 32), invalid_argument,
                "[contraction] ldb of {} is {}, too little for k = {}", to_string(d.b_packing), d.ldb, d.k);
  GREGALE_CHECK(d.b_packing != Packing::panels16x3 || d.b_part >= 0, invalid_argument,
                "[contraction] b_part is {}, a negative number", d.b_part);
}

void validate_expressions(const ContractionDesc& d) {
  if (!d.prologue_a.empty() || !d.prologue_b.empty()) {
    GREGALE_CHECK(d.compute == Compute::f32 || d.compute == Compute::f64, invalid_argument,
                  "[contraction] prologues are for compute f32 and f64, not {}", to_string(d.compute));
    GREGALE_CHECK(d.b_packing == Packing::plain, invalid_argument,
                  "[contraction] prologues are for plain operands, not {}", to_string(d.b_packing));
  }
  GREGALE_CHECK(!expression::reduces(d.prologue_a) && !expression::reduces(d.prologue_b), invalid_argument,
                "[contraction] prologues are elementwise and cannot reduce");
  GREGALE_CHECK(d.epilogue_inputs.size() <= kMostEpilogueInputs, invalid_argument,
                "[contraction] the epilogue has {} inputs beside the sums; {} are possible", d.epilogue_inputs.size(),
                kMostEpilogueInputs);
  GREGALE_CHECK(d.prologue_a.empty() || d.prologue_a.outputs().size() == 1, invalid_argument,
                "[contraction] prologue_a has {} outputs, not one", d.prologue_a.outputs().size());
  GREGALE_CHECK(d.prologue_b.empty() || d.prologue_b.outputs().size() == 1, invalid_argument,
                "[contraction] prologue_b has {} outputs, not one", d.prologue_b.outputs().size());
  GREGALE_CHECK(d.epilogue.empty() || d.epilogue.outputs().size() == 1, invalid_argument,
                "[contraction] the epilogue has {} outputs, not one", d.epilogue.outputs().size());
  GREGALE_CHECK(!d.epilogue.empty() || d.epilogue_inputs.empty(), invalid_argument,
                "[contraction] epilogue_inputs are given without an epilogue");
}

}  // namespace

void validate(const ContractionDesc& d) {
  const struct {
    const char* name;
    int64_t value;
  } extents[] = {{"m", d.m}, {"n", d.n}, {"k", d.k}, {"batch", d.batch}};
  for (const auto& e : extents) {
    GREGALE_CHECK(e.value == kAtCall || e.value >= 0, invalid_argument, "[contraction] {} is {}, a negative number",
                  e.name, e.value);
  }
  validate_dtypes(d);
  validate_packing(d);
  check_leading("lda", d.lda, d.trans_a ? d.m : 0);  // rows of a may overlap
  if (d.b_packing == Packing::plain || d.b_packing == Packing::vnni2)
    check_leading("ldb", d.ldb, d.trans_b ? d.k : d.n);
  check_leading("ldc", d.ldc, d.n);
  GREGALE_CHECK(!d.accumulate || d.c != DType::bf16, invalid_argument,
                "[contraction] accumulate takes f32 or f64 c, not bf16");
  GREGALE_CHECK(d.addressing != ContractionDesc::Batch::none || d.batch == 1, invalid_argument,
                "[contraction] batch is {} without an addressing of the batch", d.batch);
  validate_expressions(d);
}

std::string to_string(const ContractionDesc& d) {
  std::string text = fmt::format("contraction {}", to_string(d.compute));
  if (d.a != DType::f32 || d.b != DType::f32 || d.c != DType::f32) {
    if (d.compute != Compute::f64) text += fmt::format(" {} {} to {}", name_of(d.a), name_of(d.b), name_of(d.c));
  }
  text += fmt::format(" {}x{}x{}", value_text(d.m), value_text(d.n), value_text(d.k));
  text += fmt::format(" ld {} {} {}", value_text(d.lda), value_text(d.ldb), value_text(d.ldc));
  if (d.trans_a) text += " trans_a";
  if (d.trans_b) text += " trans_b";
  if (d.b_packing != Packing::plain) text += fmt::format(" b {}", to_string(d.b_packing));
  if (d.b_packing == Packing::panels16x3) text += fmt::format(" part {}", d.b_part);
  if (d.accumulate) text += d.own_chain ? " accumulate after" : " accumulate";
  switch (d.addressing) {
    case ContractionDesc::Batch::none:
      break;
    case ContractionDesc::Batch::stride:
      text +=
          fmt::format(" batch {} stride {} {}", value_text(d.batch), value_text(d.a_stride), value_text(d.b_stride));
      break;
    case ContractionDesc::Batch::offset:
      text += fmt::format(" batch {} offset", value_text(d.batch));
      break;
    case ContractionDesc::Batch::address:
      text += fmt::format(" batch {} address", value_text(d.batch));
      break;
  }
  if (!d.prologue_a.empty()) text += fmt::format(" prologue_a {{{}}}", d.prologue_a.to_string());
  if (!d.prologue_b.empty()) text += fmt::format(" prologue_b {{{}}}", d.prologue_b.to_string());
  if (!d.epilogue.empty()) text += fmt::format(" epilogue {{{}}}", d.epilogue.to_string());
  return text;
}

Traffic operand_traffic(const ContractionDesc& d) {
  if (d.m == kAtCall || d.n == kAtCall || d.k == kAtCall || d.batch == kAtCall) return {};
  const auto m = static_cast<double>(d.m), n = static_cast<double>(d.n), k = static_cast<double>(d.k);
  const auto batch = static_cast<double>(d.batch);
  const int parts = d.b_packing == Packing::panels16x3 ? 3 : 1;
  Traffic traffic;
  traffic.flops = 2 * m * n * k * batch;
  traffic.l2_bytes =
      batch * k * (m * static_cast<double>(size_of(d.a)) + n * static_cast<double>(parts * size_of(d.b))) +
      m * n * static_cast<double>((d.accumulate ? 2 : 1) * size_of(d.c));
  return traffic;
}

std::shared_ptr<const ContractionKernel> ContractionKernel::compile(const Target& target, const ContractionDesc& desc) {
  validate(desc);
  std::vector<std::string> refusals;
  for (const ContractionImplementation& implementation : kContractionKernels) {
    auto made = implementation.make(target, desc);
    if (!made) {
      refusals.push_back(fmt::format("{}: {}", implementation.name, made.error().message()));
      continue;
    }
    std::shared_ptr<ContractionKernel> kernel = std::move(made).value();
    kernel->info_.request = to_string(desc);
    kernel->info_.refusals = std::move(refusals);
    if (log_enabled("kernels")) log_line("kernels", to_string(kernel->info_));
    return kernel;
  }
  throw_error(ErrorCode::internal, "[contraction] even the reference refused (a bug in Gregale; please report it)");
}

}  // namespace gregale::kernels
