// Unwrapping of periodic positions for solids.
#pragma once

#include "views.hpp"

namespace ionstride {

// Undo the wrapping: cumulative minimum-image steps in fractional coordinates times the mean cell.
//
//   positions_A    (T, N, 3) Å, wrapped or not
//   cell_A         (1, 3, 3) or (T, 3, 3) Å, cell vectors as rows
//   unwrapped_A    (T, N, 3) Å, output
//   returns        largest |fractional component| of a minimum-image step (at most 0.5)
//
// Throws std::invalid_argument if a cell is singular or a value is not finite.
double unwrap(View<const double, 3> positions_A, View<const double, 3> cell_A, View<double, 3> unwrapped_A,
              int threads);

} // namespace ionstride
