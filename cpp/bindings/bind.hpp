// One registrar a kernel.
#pragma once

#include <pybind11/pybind11.h>

namespace ionstride::bindings {

void bind_unwrap(pybind11::module_ &module);
void bind_moments(pybind11::module_ &module);
void bind_covariance(pybind11::module_ &module);
void bind_multitau(pybind11::module_ &module);
void bind_windows(pybind11::module_ &module);
void bind_dump(pybind11::module_ &module);

} // namespace ionstride::bindings
