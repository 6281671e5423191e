// Views of arrays that somebody else owns: C order, no bounds, no cost.
#pragma once

#include <array>
#include <cstddef>

namespace ionstride {

template <class T, std::size_t Rank> struct View {
    T *data = nullptr;
    std::array<std::size_t, Rank> shape{};

    // Pointer to the first element of row i of the leading axis.
    T *row(std::size_t i) const { return data + i * row_size(); }

    std::size_t row_size() const {
        std::size_t size = 1;
        for (std::size_t axis = 1; axis < Rank; ++axis) {
            size *= shape[axis];
        }
        return size;
    }

    std::size_t size() const { return shape[0] * row_size(); }
};

} // namespace ionstride
