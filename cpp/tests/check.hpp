// The least a test needs: a check that names its line, and a check of what is thrown.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);               \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (false)

// The message of the Error that call() throws; the test fails if it throws none.
template <class Error, class Call> std::string message_of(Call call) {
    try {
        call();
    } catch (const Error &error) {
        return error.what();
    }
    std::fprintf(stderr, "nothing was thrown\n");
    std::exit(1);
}

inline bool contains(const std::string &text, const std::string &part) {
    return text.find(part) != text.npos;
}
