// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/layout.hpp"

#include <algorithm>
#include <numeric>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::on_all_teams;
using testing::randoms;
using Extents = std::vector<int64_t>;
using Bytes = std::vector<uint8_t>;

const int64_t kLayoutSizes[] = {1, 2, 4, 8, 16};

int64_t product(const Extents& extents) {
  int64_t size = 1;
  for (int64_t e : extents) size *= e;
  return size;
}

Bytes random_bytes(int64_t count) {
  std::mt19937 engine(1);
  Bytes bytes(static_cast<size_t>(count));
  for (auto& b : bytes) b = static_cast<uint8_t>(engine());
  return bytes;
}

/// dst whose element at index i is src's element at source(i); -1 gives zeros.
template <class Source>
Bytes expected(const Bytes& src, int64_t size, const Extents& dst, Source source) {
  Bytes out(static_cast<size_t>(product(dst) * size));
  Extents index(dst.size());
  for (int64_t flat = 0; flat < product(dst); ++flat) {
    int64_t rest = flat;
    for (size_t i = dst.size(); i-- > 0;) {
      index[i] = rest % dst[i];
      rest /= dst[i];
    }
    const int64_t at = source(index);
    if (at >= 0) std::memcpy(out.data() + flat * size, src.data() + at * size, static_cast<size_t>(size));
  }
  return out;
}

int64_t flat_index(const Extents& extents, const Extents& index) {
  int64_t at = 0;
  for (size_t i = 0; i < extents.size(); ++i) at = at * extents[i] + index[i];
  return at;
}

TEST(Layout, TransposesOfEveryOrder) {
  for (const Extents& extents :
       {Extents{}, {7}, {37, 65}, {1, 40}, {5, 1, 33}, {4, 35, 3}, {2, 3, 4, 5}, {33, 2, 40}, {3, 0, 2}}) {
    Extents permutation(extents.size());
    std::iota(permutation.begin(), permutation.end(), 0);
    do {
      Extents dst;
      for (int64_t p : permutation) dst.push_back(extents[static_cast<size_t>(p)]);
      for (int64_t size : kLayoutSizes) {
        const Bytes src = random_bytes(product(extents) * size);
        const Bytes got = on_all_teams([&](ThreadTeam& team) {
          Bytes out(src.size());
          transpose(team, size, static_cast<int>(extents.size()), extents.data(), permutation.data(), src.data(),
                    out.data());
          return out;
        });
        ASSERT_EQ(got, expected(src, size, dst, [&](const Extents& index) {
                    Extents from(index.size());
                    for (size_t i = 0; i < index.size(); ++i) from[static_cast<size_t>(permutation[i])] = index[i];
                    return flat_index(extents, from);
                  }));
      }
    } while (std::next_permutation(permutation.begin(), permutation.end()));
  }
}

TEST(Layout, SliceReverseBroadcastConcat) {
  const Extents extents = {7, 9, 40};
  for (int64_t size : kLayoutSizes) {
    const Bytes src = random_bytes(product(extents) * size);
    struct Slice {
      Extents starts, steps, dst;
    };
    for (const Slice& s : {Slice{{1, 0, 3}, {2, 1, 1}, {3, 9, 30}}, Slice{{0, 8, 39}, {1, -2, -1}, {7, 4, 40}},
                           Slice{{0, 0, 1}, {1, 3, 5}, {7, 3, 8}}, Slice{{0, 0, 0}, {1, 1, 1}, {7, 0, 40}}}) {
      const Bytes got = on_all_teams([&](ThreadTeam& team) {
        Bytes out(static_cast<size_t>(product(s.dst) * size));
        slice(team, size, 3, extents.data(), s.starts.data(), s.steps.data(), s.dst.data(), src.data(), out.data());
        return out;
      });
      ASSERT_EQ(got, expected(src, size, s.dst, [&](const Extents& i) {
                  return flat_index(extents, {s.starts[0] + i[0] * s.steps[0], s.starts[1] + i[1] * s.steps[1],
                                              s.starts[2] + i[2] * s.steps[2]});
                }));
    }
    for (int mask = 0; mask < 8; ++mask) {
      const bool reversed[] = {(mask & 1) != 0, (mask & 2) != 0, (mask & 4) != 0};
      const Bytes got = on_all_teams([&](ThreadTeam& team) {
        Bytes out(src.size());
        reverse(team, size, 3, extents.data(), reversed, src.data(), out.data());
        return out;
      });
      ASSERT_EQ(got, expected(src, size, extents, [&](Extents i) {
                  for (size_t a = 0; a < 3; ++a)
                    if (reversed[a]) i[a] = extents[a] - 1 - i[a];
                  return flat_index(extents, i);
                }));
    }
    const Extents small = {9, 1}, wide = {7, 9, 40};
    const Bytes got = on_all_teams([&](ThreadTeam& team) {
      Bytes out(src.size());
      broadcast(team, size, 2, small.data(), 3, wide.data(), src.data(), out.data());
      return out;
    });
    ASSERT_EQ(got, expected(src, size, wide, [&](const Extents& i) { return i[1]; }));
    // Concat of the parts is the whole.
    const int64_t middle[] = {2, 0, 7};
    const Extents part[] = {{7, 2, 40}, {7, 0, 40}, {7, 7, 40}};
    Bytes parts[3];
    const void* pointers[3];
    for (size_t p = 0; p < 3; ++p) {
      parts[p] = expected(src, size, part[p], [&](const Extents& i) {
        return flat_index(extents, {i[0], i[1] + (p == 2 ? 2 : 0), i[2]});
      });
      pointers[p] = parts[p].data();
    }
    ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                Bytes out(src.size());
                concat(team, size, 7, 40, 3, middle, pointers, out.data());
                return out;
              }),
              src);
  }
}

TEST(Layout, Pads) {
  struct Pad {
    PadMode mode;
    Extents extents, low, high, interior;
  };
  const Pad pads[] = {{PadMode::zero, {5, 7}, {1, 2}, {3, 0}, {}},
                      {PadMode::zero, {5, 7}, {-1, 2}, {3, -4}, {}},
                      {PadMode::zero, {5, 7}, {-2, 1}, {-2, 0}, {2, 1}},
                      {PadMode::zero, {4}, {-1}, {-1}, {3}},
                      {PadMode::zero, {3, 0}, {1, 2}, {1, 2}, {}},
                      {PadMode::zero, {5}, {-9}, {6}, {}},
                      {PadMode::periodic, {5, 7}, {2, 9}, {6, 15}, {}},
                      {PadMode::periodic, {3, 5, 4}, {0, 2, 0}, {0, 1, 0}, {}},
                      {PadMode::reflect, {5, 7}, {4, 6}, {2, 3}, {}},
                      {PadMode::reflect, {2, 5, 6, 3}, {0, 1, 2, 0}, {0, 2, 1, 0}, {}},
                      {PadMode::edge, {5, 7}, {2, 9}, {6, 0}, {}},
                      {PadMode::reflect, {1, 1}, {0, 0}, {0, 0}, {}}};
  for (const Pad& p : pads) {
    Extents dst;
    for (size_t i = 0; i < p.extents.size(); ++i) {
      const int64_t gap = p.interior.empty() ? 0 : p.interior[i];
      dst.push_back(p.low[i] + p.extents[i] + std::max<int64_t>(p.extents[i] - 1, 0) * gap + p.high[i]);
    }
    for (int64_t size : kLayoutSizes) {
      const Bytes src = random_bytes(product(p.extents) * size);
      const Bytes got = on_all_teams([&](ThreadTeam& team) {
        Bytes out(static_cast<size_t>(product(dst) * size), 0x77);
        pad(team, size, p.mode, static_cast<int>(dst.size()), p.extents.data(), p.low.data(), p.high.data(),
            p.interior.empty() ? nullptr : p.interior.data(), src.data(), out.data());
        return out;
      });
      ASSERT_EQ(got, expected(src, size, dst, [&](Extents index) -> int64_t {
                  for (size_t i = 0; i < index.size(); ++i) {
                    const int64_t n = p.extents[i], step = 1 + (p.interior.empty() ? 0 : p.interior[i]);
                    int64_t at = index[i] - p.low[i];
                    if (p.mode == PadMode::zero) {
                      if (at < 0 || at % step != 0 || at / step >= n) return -1;
                      at /= step;
                    } else if (p.mode == PadMode::periodic) {
                      at = (at % n + n) % n;
                    } else if (p.mode == PadMode::edge) {
                      at = std::clamp<int64_t>(at, 0, n - 1);
                    } else {
                      while (at < 0 || at >= n) at = at < 0 ? -at : 2 * (n - 1) - at;
                    }
                    index[i] = at;
                  }
                  return flat_index(p.extents, index);
                }));
    }
  }
}

TEST(Layout, GatherAndScatterAdd) {
  const int64_t outer = 3, n = 11, count = 29;
  std::vector<int64_t> indices;
  for (int64_t j = 0; j < count; ++j) indices.push_back(j * 7 % n - (j % 2) * n);  // also from the end
  auto one = make_thread_team(1, TeamKind::caller);
  for (int64_t inner : {1, 5, 3000}) {
    for (int64_t size : kLayoutSizes) {
      const Bytes src = random_bytes(outer * n * inner * size);
      ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                  Bytes out(static_cast<size_t>(outer * count * inner * size));
                  EXPECT_TRUE(gather(team, size, outer, n, inner, count, indices.data(), src.data(), out.data()));
                  return out;
                }),
                expected(src, size, {outer, count, inner}, [&](const Extents& i) {
                  return flat_index({outer, n, inner}, {i[0], (indices[static_cast<size_t>(i[1])] + n) % n, i[2]});
                }));
    }
    const auto base = randoms(outer * n * inner, 1), updates = randoms(outer * count * inner, 2);
    auto sums = base;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < count; ++j)
        for (int64_t i = 0; i < inner; ++i)
          sums[static_cast<size_t>((o * n + (indices[static_cast<size_t>(j)] + n) % n) * inner + i)] +=
              updates[static_cast<size_t>((o * count + j) * inner + i)];
    for (bool in_place : {false, true}) {
      ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                  auto out = in_place ? base : std::vector<float>(base.size());
                  EXPECT_TRUE(scatter_add_f32(team, outer, n, inner, count, indices.data(),
                                              in_place ? out.data() : base.data(), updates.data(), out.data()));
                  return out;
                }),
                sums);
    }
  }
  for (int64_t bad : {-n - 1, n}) {
    float x[11] = {}, y = 0;
    EXPECT_FALSE(gather(*one, 4, 1, n, 1, 1, &bad, x, &y));
    EXPECT_FALSE(scatter_add_f32(*one, 1, n, 1, 1, &bad, x, &y, x));
  }
}

/// Large enough for several tasks, which begin in the middle of things.
TEST(Layout, IndexingByElementsAndTuples) {
  const int64_t outer = 37, n = 50, inner = 41, count = 61;
  const auto index = [](int64_t t, int64_t extent) { return t * 2654435761 % (2 * extent) - extent; };
  const auto place = [](int64_t at, int64_t extent) { return at < 0 ? at + extent : at; };
  std::vector<int32_t> elements;
  for (int64_t t = 0; t < outer * count * inner; ++t) elements.push_back(static_cast<int32_t>(index(t, n)));
  std::vector<int64_t> tuples;
  for (int64_t t = 0; t < outer * count; ++t) tuples.insert(tuples.end(), {index(t, n), index(t, inner)});
  const auto at = [&](const Extents& i) {
    return place(elements[static_cast<size_t>(flat_index({outer, count, inner}, i))], n);
  };
  const auto row = [&](int64_t t) {
    return place(tuples[static_cast<size_t>(2 * t)], n) * inner + place(tuples[static_cast<size_t>(2 * t + 1)], inner);
  };
  const int64_t depth_extents[] = {n, inner}, block = 7;
  for (int64_t size : kLayoutSizes) {
    const Bytes src = random_bytes(outer * n * inner * block * size);
    ASSERT_EQ(
        on_all_teams([&](ThreadTeam& team) {
          Bytes out(static_cast<size_t>(outer * count * inner * size));
          EXPECT_TRUE(gather_elements(team, size, outer, n, inner, count, elements.data(), src.data(), out.data()));
          return out;
        }),
        expected(src, size, {outer, count, inner}, [&](const Extents& i) {
          return flat_index({outer, n, inner}, {i[0], at(i), i[2]});
        }));
    ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                Bytes out(static_cast<size_t>(outer * count * block * size));
                EXPECT_TRUE(gather_nd(team, size, outer, count, 2, depth_extents, block, tuples.data(), src.data(),
                                      out.data()));
                return out;
              }),
              expected(src, size, {outer, count, block}, [&](const Extents& i) {
                return flat_index({outer, n * inner, block}, {i[0], row(i[0] * count + i[1]), i[2]});
              }));
  }
  const auto base = randoms(outer * n * inner * block, 1), updates = randoms(outer * count * inner, 2);
  const std::vector<float> elements_base(base.begin(), base.begin() + outer * n * inner);
  for (const Scatter op : {Scatter::none, Scatter::add, Scatter::max}) {
    const auto change = [op](float& to, float by) {
      to = op == Scatter::none ? by : op == Scatter::add ? to + by : std::max(to, by);
    };
    auto by_elements = elements_base, by_tuples = base;
    for (int64_t t = 0; t < outer * count * inner; ++t) {
      const Extents i{t / (count * inner), t / inner % count, t % inner};
      change(by_elements[static_cast<size_t>(flat_index({outer, n, inner}, {i[0], at(i), i[2]}))],
             updates[static_cast<size_t>(t)]);
    }
    for (int64_t t = 0; t < outer * count; ++t)
      for (int64_t i = 0; i < block; ++i)
        change(by_tuples[static_cast<size_t>((t / count * n * inner + row(t)) * block + i)],
               updates[static_cast<size_t>(t * block + i)]);
    ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                std::vector<float> out(elements_base.size());
                EXPECT_TRUE(scatter_elements(team, DType::f32, op, outer, n, inner, count, elements.data(),
                                             elements_base.data(), updates.data(), out.data()));
                return out;
              }),
              by_elements);
    ASSERT_EQ(on_all_teams([&](ThreadTeam& team) {
                auto out = base;  // in place
                EXPECT_TRUE(scatter_nd(team, DType::f32, op, outer, count, 2, depth_extents, block, tuples.data(),
                                       out.data(), updates.data(), out.data()));
                return out;
              }),
              by_tuples);
  }
}

}  // namespace
}  // namespace gregale::kernels
