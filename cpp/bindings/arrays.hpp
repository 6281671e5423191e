// The boundary between NumPy and the core: checked views in, new arrays out, the GIL released.
#pragma once

#include "ionstride/views.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace ionstride::bindings {

namespace py = pybind11;

template <class T> const char *dtype_name();
template <> inline const char *dtype_name<double>() {
    return "float64";
}
template <> inline const char *dtype_name<std::int64_t>() {
    return "int64";
}

// Lengths an argument must have; nullopt leaves one free.
template <std::size_t Rank> using Wanted = std::array<std::optional<std::size_t>, Rank>;

template <std::size_t Rank> std::string describe(const Wanted<Rank> &wanted) {
    std::string text = "(";
    for (std::size_t axis = 0; axis < Rank; ++axis) {
        text += (axis == 0 ? "" : ", ") + (wanted[axis] ? std::to_string(*wanted[axis]) : std::string("any"));
    }
    return text + (Rank == 1 ? ",)" : ")");
}

inline std::string describe(const py::array &array) {
    return py::str(array.attr("shape"));
}

// View a NumPy array in place.  A silent copy would double the memory of a trajectory, and a silent cast from
// float32 would hide that its digits are lost already: both are errors that say how to mend them.
template <class T, std::size_t Rank>
View<const T, Rank> view(const char *name, const py::object &object, const Wanted<Rank> &wanted) {
    const std::string what = name;
    if (!py::isinstance<py::array>(object)) {
        throw std::invalid_argument(what + " is of type " +
                                    std::string(py::str(py::type::of(object).attr("__name__"))) +
                                    ", wanted a numpy array of " + dtype_name<T>());
    }
    const auto array = py::reinterpret_borrow<py::array>(object);
    if (!py::isinstance<py::array_t<T>>(array)) {
        throw std::invalid_argument(what + " has dtype " + std::string(py::str(array.dtype())) + ", wanted " +
                                    dtype_name<T>() + "; convert it with .astype(numpy." + dtype_name<T>() +
                                    ")");
    }
    bool fits = array.ndim() == static_cast<py::ssize_t>(Rank);
    View<const T, Rank> result;
    for (std::size_t axis = 0; fits && axis < Rank; ++axis) {
        result.shape[axis] = static_cast<std::size_t>(array.shape(static_cast<py::ssize_t>(axis)));
        fits = !wanted[axis] || result.shape[axis] == *wanted[axis];
    }
    if (!fits) {
        throw std::invalid_argument(what + " has shape " + describe(array) + ", wanted " + describe(wanted));
    }
    constexpr int needed = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if ((array.flags() & needed) != needed) {
        throw std::invalid_argument(
            what + " is not C-contiguous and aligned, wanted so; pass numpy.ascontiguousarray(" + what +
            ") or a copy");
    }
    result.data = static_cast<const T *>(array.data());
    return result;
}

// A new array and the view that the core fills.
template <class T, std::size_t Rank>
std::pair<py::array_t<T>, View<T, Rank>> make(const std::array<std::size_t, Rank> &shape) {
    py::array_t<T> array(shape);
    return {array, View<T, Rank>{array.mutable_data(), shape}};
}

// Every call of the core goes through here.
template <class Call> auto without_gil(Call &&call) {
    const py::gil_scoped_release release;
    return std::forward<Call>(call)();
}

} // namespace ionstride::bindings
