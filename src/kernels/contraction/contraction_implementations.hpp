// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/contraction/contraction_kernel.hpp"

/// The implementations of contractions, in the order they are asked (contraction_kernel.cpp), and what they share.
namespace gregale::kernels {

inline constexpr size_t kMostEpilogueInputs = 15;  ///< beside the sums

/// Compiled for AMX: bf16 and, on bf16 parts, fp32x3. Asks the target, never the CPU.
Result<std::shared_ptr<ContractionKernel>> make_contraction_amx(const Target& target, const ContractionDesc& desc);
/// Compiled for vector units: AVX2 with FMA, AVX-512. Refuses what the target lacks.
Result<std::shared_ptr<ContractionKernel>> make_contraction_vector(const Target& target, const ContractionDesc& desc);
/// Plain loops; never refuses.
Result<std::shared_ptr<ContractionKernel>> make_contraction_reference(const Target& target,
                                                                      const ContractionDesc& desc);

/// Throws ErrorCode::invalid_argument, naming the field that is wrong.
void validate(const ContractionDesc& desc);
/// Flops and the bytes of operands each moved once; zeros where an extent is given at the call.
Traffic operand_traffic(const ContractionDesc& desc);

}  // namespace gregale::kernels
