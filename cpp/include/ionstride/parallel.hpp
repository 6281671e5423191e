// Threads over numbered tasks.  Each task writes outputs of its own and sums them in its own fixed order, so
// the result is the same, bit for bit, for any number of threads.
#pragma once

#include <cstddef>
#include <functional>

namespace ionstride {

// Number of threads meant by the user's `threads` (0: all cores).
// Throws std::invalid_argument if it is negative.
std::size_t resolve_threads(int threads);

// Call task(0) … task(count - 1), handed out in this order to `threads` threads (0: all cores).
// If tasks throw, the exception of the lowest-numbered one is rethrown: the same for any number of threads.
void run_tasks(std::size_t count, int threads, const std::function<void(std::size_t)> &task);

} // namespace ionstride
