#include "arrays.hpp"
#include "bind.hpp"

#include "ionstride/unwrap.hpp"

namespace ionstride::bindings {
namespace {

constexpr const char *kDoc = R"(Unwrap periodic positions of a solid.

Cumulative minimum-image steps in fractional coordinates, times the mean cell.

Parameters
----------
positions_A : (T, N, 3) float64 positions in Å, wrapped or not.
cell_A : (3, 3) or (T, 3, 3) float64 cell vectors in Å, as rows.
threads : number of threads, 0 for all cores; the result does not depend on it.

Returns
-------
unwrapped_A : (T, N, 3) float64 positions in Å.
largest_step : largest fractional component of a minimum-image step; above 0.4 the frames are too coarse.

Raises
------
ionstride.errors.InputError
    If a shape or dtype is not as wanted, a value is not finite or a cell is singular.
)";

py::tuple unwrap_arrays(const py::object &positions, const py::object &cell, int threads) {
    const auto r = view<double, 3>("positions_A", positions, {std::nullopt, std::nullopt, 3});
    View<const double, 3> c;
    if (py::isinstance<py::array>(cell) && py::reinterpret_borrow<py::array>(cell).ndim() == 3) {
        c = view<double, 3>("cell_A", cell, {r.shape[0], 3, 3});
    } else {
        c = {view<double, 2>("cell_A", cell, {3, 3}).data, {1, 3, 3}};
    }
    auto [array, out] = make<double, 3>(r.shape);
    const double largest = without_gil([&, result = out] { return unwrap(r, c, result, threads); });
    return py::make_tuple(array, largest);
}

} // namespace

void bind_unwrap(py::module_ &module) {
    module.def("unwrap", &unwrap_arrays, kDoc, py::arg("positions_A"), py::arg("cell_A"),
               py::arg("threads") = 0);
}

} // namespace ionstride::bindings
