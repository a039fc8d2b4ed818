// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Reductions of the code generator: what becomes of a vector of values, and of the accumulators in the end.
#include <algorithm>
#include <limits>

#include "kernels/expression/expression_generator.hpp"

namespace gregale::kernels::expression {

double Generator::start_of(Fold fold) const {
  if (fold == Fold::max) return -std::numeric_limits<double>::infinity();
  if (fold == Fold::min) return std::numeric_limits<double>::infinity();
  return 0;
}

Generator::Folding Generator::start_folding(Id id, bool of_rows) {
  Folding folding;
  folding.id = id;
  folding.fold = fold_of(node(id).op);
  folding.acc = take();
  copy(folding.acc, number(start_of(folding.fold)));
  const bool extremal = folding.fold != Fold::sum && folding.fold != Fold::sum_squares;
  if (of_rows && extremal) {
    folding.ordered = take_mask();
    if (wide()) {
      kxnorw(k(folding.ordered), k(folding.ordered), k(folding.ordered));
    } else {
      vpcmpeqd(v(folding.ordered), v(folding.ordered), v(folding.ordered));
    }
  }
  return folding;
}

void Generator::fold(Folding* folding, const Arg& from) {
  Arg x = from;
  Group copied;
  bool temporary = false;
  const bool sums = folding->fold == Fold::sum || folding->fold == Fold::sum_squares;
  if (lanes_ == Lanes::tail) {  // the other lanes get what changes nothing
    copied = take();
    temporary = true;
    copy(copied, number(start_of(folding->fold)));
    if (wide()) {
      with(x, 0, [&](const Operand& o) { merge(v(copied[0]), kTailMask, o); });
    } else {
      const int mask = take_vector();
      load(v(mask), ptr[rsp + tail_mask_at]);
      with(x, 0, [&](const Operand& o) { merge(v(copied[0]), mask, o); });
      give_vector(mask);
    }
    x = of(copied);
  } else if (x.kind != Arg::Kind::group && folding->fold != Fold::sum) {
    copied = take();
    temporary = true;
    copy(copied, x);
    x = of(copied);
  }
  if (folding->fold == Fold::absmax) {
    if (!temporary) copied = take();
    const uint64_t bits_but_sign = f64() ? ~uint64_t{0} >> 1 : 0x7fffffffu;
    op(&VectorAssembler::and_bits, copied, x.group, whole(bits_but_sign));
    temporary = true;
    x = of(copied);
  }
  if (!is_row_reduction(node(folding->id).op)) {  // all_*: sums are in the frame
    const auto index =
        static_cast<size_t>(std::find(plan_.all_reductions.begin(), plan_.all_reductions.end(), folding->id) -
                            plan_.all_reductions.begin());
    const Group acc = take();
    each([&](int u) { load(v(acc[u]), ptr[rsp + (all_at_[index] + 64 * u)]); });
    fold_safely(folding->fold, acc, x);
    each([&](int u) { vmovups(ptr[rsp + (all_at_[index] + 64 * u)], v(acc[u])); });
    give(acc);
    if (temporary) give(copied);
    return;
  }
  if (!sums) {
    const int mask = wide() ? -1 : take_vector();
    for (int u = 0; u < unroll_; u += 2) {
      const int other = u + 1 < unroll_ ? u + 1 : u;
      if (wide()) {
        const auto to = k(folding->ordered) | k(folding->ordered);
        f64() ? vcmppd(to, v(x.group[u]), v(x.group[other]), kOrdered)
              : vcmpps(to, v(x.group[u]), v(x.group[other]), kOrdered);
      } else {
        compare(mask, v(x.group[u]), v(x.group[other]), kOrdered);
        vandps(v(folding->ordered), v(folding->ordered), v(mask));
      }
    }
    if (mask >= 0) give_vector(mask);
  }
  switch (folding->fold) {
    case Fold::sum:
      op(&VectorAssembler::add_, folding->acc, folding->acc, x);
      break;
    case Fold::sum_squares:
      op(&VectorAssembler::fma231, folding->acc, x.group, x);
      break;
    case Fold::min:
      op(&VectorAssembler::min_, folding->acc, folding->acc, x);
      break;
    default:
      op(&VectorAssembler::max_, folding->acc, folding->acc, x);
  }
  if (temporary) give(copied);
}

/// acc = fold(acc, x), NaN where either is.
void Generator::fold_safely(Fold fold, const Group& acc, const Arg& from) {
  Arg x = from;
  Group copied;
  const bool temporary = x.kind != Arg::Kind::group;
  if (temporary) {
    copied = take();
    copy(copied, x);
    x = of(copied);
  }
  if (fold == Fold::sum) {
    op(&VectorAssembler::add_, acc, acc, x);
  } else if (fold == Fold::sum_squares) {
    op(&VectorAssembler::fma231, acc, x.group, x);
  } else {
    op(fold == Fold::min ? &VectorAssembler::min_ : &VectorAssembler::max_, acc, x.group, of(acc));
    const Group mask = take(true);
    compare_each(mask, x.group, x, kUnordered);
    merge_each(acc, mask, x);
    give(mask, true);
  }
  if (temporary) give(copied);
}

void Generator::fold_column(Folding* folding, const Arg& from) {
  Arg x = from;
  Group magnitude;
  if (folding->fold == Fold::absmax) {
    magnitude = take();
    copy(magnitude, x);
    op(&VectorAssembler::and_bits, magnitude, magnitude, whole(f64() ? ~uint64_t{0} >> 1 : 0x7fffffffu));
    x = of(magnitude);
  }
  if (plan_.columns_outermost) {
    fold_safely(folding->fold, folding->acc, x);
  } else {
    const auto index =
        static_cast<size_t>(std::find(plan_.column_reductions.begin(), plan_.column_reductions.end(), folding->id) -
                            plan_.column_reductions.begin());
    const Pointer& place = scratch_[plan_.saved.size() + index];
    const Group acc = take();
    each([&](int u) { load(v(acc[u]), at(place, u)); });
    fold_safely(folding->fold, acc, x);
    each([&](int u) { vmovups(at(place, u), v(acc[u])); });
    give(acc);
  }
  if (folding->fold == Fold::absmax) give(magnitude);
}

void Generator::combine(Fold fold, const Reg& d, const Operand& b) {
  if (fold == Fold::sum || fold == Fold::sum_squares) {
    add_(d, d, b);
  } else if (fold == Fold::min) {
    min_(d, d, b);
  } else {
    max_(d, d, b);
  }
}

/// Folds the lanes of register a in halves; the result is in all lanes.
void Generator::across(Fold fold, int a, int temp) {
  if (wide()) {
    vextractf32x8(Xbyak::Ymm(temp), Xbyak::Zmm(a), 1);
    combine(fold, Xbyak::Ymm(a), Xbyak::Ymm(temp));
    vextractf32x4(Xbyak::Xmm(temp), Xbyak::Ymm(a), 1);
  } else {
    vextractf128(Xbyak::Xmm(temp), Xbyak::Ymm(a), 1);
  }
  combine(fold, Xbyak::Xmm(a), Xbyak::Xmm(temp));
  vpermilpd(Xbyak::Xmm(temp), Xbyak::Xmm(a), 1);
  combine(fold, Xbyak::Xmm(a), Xbyak::Xmm(temp));
  if (f64()) {
    wide() ? vbroadcastsd(Xbyak::Zmm(a), Xbyak::Xmm(a)) : vbroadcastsd(Xbyak::Ymm(a), Xbyak::Xmm(a));
    return;
  }
  vmovshdup(Xbyak::Xmm(temp), Xbyak::Xmm(a));
  combine(fold, Xbyak::Xmm(a), Xbyak::Xmm(temp));
  vbroadcastss(v(a), Xbyak::Xmm(a));
}

/// The accumulators in pairs, then the lanes in halves.
void Generator::finish_folding(Folding* folding) {
  const int unroll = unroll_;
  for (int distance = 1; distance < unroll; distance *= 2) {
    for (int u = 0; u + distance < unroll; u += 2 * distance) {
      combine(folding->fold, v(folding->acc[u]), v(folding->acc[u + distance]));
    }
  }
  const int result = folding->acc[0];
  const int temp = take_vector();
  across(folding->fold, result, temp);
  give_vector(temp);
  if (folding->ordered >= 0) {
    Xbyak::Label numbers;
    if (wide()) {
      f64() ? kortestb(k(folding->ordered), k(folding->ordered)) : kortestw(k(folding->ordered), k(folding->ordered));
      jc(numbers);
    } else {
      f64() ? vmovmskpd(eax, v(folding->ordered)) : vmovmskps(eax, v(folding->ordered));
      cmp(eax, (1 << lanes()) - 1);
      je(numbers);
    }
    with(number(std::numeric_limits<double>::quiet_NaN()), 0, [&](const Operand& o) { load(v(result), o); });
    L(numbers);
    give_mask(folding->ordered);
  }
  keep_uniform(folding->id, result);
  give(folding->acc);
}

}  // namespace gregale::kernels::expression
