// Windows of increments cut from the paths of ions.
#pragma once

#include "views.hpp"

#include <cstdint>

namespace ionstride {

// windows[b, k] = r[ion[b], start[b] + (k + 1)·stride] - r[ion[b], start[b] + k·stride]
//
//   r_A           (n, T, 3) Å
//   ion, start    (B) numbers of ion and of first frame
//   windows_A     (B, length, 3) Å, output; differences are taken in float64, then rounded
//   stride        frames between records
//
// Throws std::invalid_argument if a window reaches outside r_A.
void gather_windows(View<const double, 3> r_A, View<const std::int64_t, 1> ion,
                    View<const std::int64_t, 1> start, std::int64_t stride, View<float, 3> windows_A,
                    int threads);

// The checks of gather_windows alone, for callers that have yet to allocate windows_A.
void check_windows(View<const double, 3> r_A, View<const std::int64_t, 1> ion,
                   View<const std::int64_t, 1> start, std::int64_t length, std::int64_t stride);

} // namespace ionstride
