#include "check.hpp"

#include "ionstride/parallel.hpp"

#include <stdexcept>
#include <vector>

using namespace ionstride;

int main() {
    // Every task runs once, with more and with fewer threads than tasks.
    for (const int threads : {0, 1, 3, 100}) {
        std::vector<int> calls(37, 0);
        run_tasks(calls.size(), threads, [&](std::size_t i) { ++calls[i]; });
        for (const int n : calls) {
            CHECK(n == 1);
        }
    }
    run_tasks(0, 4, [](std::size_t) { throw std::logic_error("no task to call"); });

    // Of several failures the lowest-numbered is reported, whatever the threads do.
    for (int repeat = 0; repeat < 50; ++repeat) {
        CHECK(message_of<std::runtime_error>([] {
                  run_tasks(64, 4, [](std::size_t i) {
                      if (i >= 7) {
                          throw std::runtime_error(std::to_string(i));
                      }
                  });
              }) == "7");
    }
    CHECK(contains(message_of<std::invalid_argument>([] { resolve_threads(-1); }), "threads is -1"));
    return 0;
}
