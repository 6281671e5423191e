#include "ionstride/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace ionstride {

std::size_t resolve_threads(int threads) {
    if (threads < 0) {
        throw std::invalid_argument("threads is " + std::to_string(threads) +
                                    ", wanted 0 (all cores) or a positive number");
    }
    if (threads == 0) {
        return std::max(1U, std::thread::hardware_concurrency());
    }
    return static_cast<std::size_t>(threads);
}

void run_tasks(std::size_t count, int threads, const std::function<void(std::size_t)> &task) {
    const std::size_t workers = std::min(resolve_threads(threads), count);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::mutex guard;
    std::size_t failed_at = count;
    std::exception_ptr error;

    // Tasks start in order, so every task below a failing one has run: the lowest failure is always seen.
    const auto work = [&] {
        while (!failed) {
            const std::size_t i = next++;
            if (i >= count) {
                return;
            }
            try {
                task(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(guard);
                failed = true;
                if (i < failed_at) {
                    failed_at = i;
                    error = std::current_exception();
                }
            }
        }
    };

    std::vector<std::thread> pool;
    for (std::size_t i = 1; i < workers; ++i) {
        try {
            pool.emplace_back(work);
        } catch (const std::system_error &) {
            break; // the system grants no more threads: those that run do the work
        }
    }
    work();
    for (auto &thread : pool) {
        thread.join();
    }
    if (error) {
        std::rethrow_exception(error);
    }
}

} // namespace ionstride
