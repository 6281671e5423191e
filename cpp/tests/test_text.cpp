#include "check.hpp"

#include "ionstride/text.hpp"

#include <cmath>
#include <cstdlib>
#include <random>

using namespace ionstride;

namespace {

bool number(const std::string &text, double &value) {
    return parse_number(text.data(), text.data() + text.size(), value) == text.data() + text.size();
}

} // namespace

int main() {
    // The fast way gives the same bits as the C library.
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> digits(-1.0, 1.0);
    for (const char *format : {"%.6g", "%.16g", "%.17g", "%.3f", "%.12e", "%.20f"}) {
        for (int repeat = 0; repeat < 20000; ++repeat) {
            char text[400];
            const double size = std::pow(10.0, static_cast<int>(random() % 40) - 20);
            std::snprintf(text, sizeof text, format, digits(random) * size);
            double value = 0;
            CHECK(number(text, value));
            CHECK(value == std::strtod(text, nullptr));
        }
    }
    // In the middle of a text numbers are read eight characters at a time: the same bits again, of the same
    // ones.
    for (int whole = 0; whole < 10; ++whole) {
        for (int decimals = 0; decimals < 22; ++decimals) {
            for (int repeat = 0; repeat < 50; ++repeat) {
                std::string text = repeat % 2 == 0 ? "" : "-";
                for (int k = 0; k < whole + decimals; ++k) {
                    text += k == whole ? "." : "";
                    text += static_cast<char>('0' + (repeat < 2 ? 9 : random() % 10));
                }
                for (const char *after : {" ", "\t", "\r\n", "x", ".", ":", "/", "e-3 ", "e ", "\xff"}) {
                    const std::string line = text + after + std::string(40, '7');
                    double ours = 0;
                    double theirs = 0;
                    const char *stop = parse_number(line.data(), line.data() + line.size(), ours);
                    const char *wanted = parse_any_number(line.data(), line.data() + line.size(), theirs);
                    CHECK(stop == wanted);
                    CHECK(stop == nullptr || (ours == theirs && ours == std::strtod(line.c_str(), nullptr) &&
                                              std::signbit(ours) == std::signbit(theirs)));
                    std::int64_t one = 0;
                    std::int64_t other = 0;
                    CHECK(parse_integer(line.data(), line.data() + line.size(), one) ==
                          parse_any_integer(line.data(), line.data() + line.size(), other));
                    CHECK(one == other);
                }
            }
        }
    }

    // Lines are counted, and headers seen, wherever they lie in a block.
    std::string lines(70000, 'I');
    for (std::size_t end :
         {std::size_t{0}, std::size_t{63}, std::size_t{64}, std::size_t{16383}, std::size_t{69000}}) {
        lines.assign(lines.size(), 'x');
        lines[end] = '\n';
        CHECK(survey_lines(lines.data(), 69001, 'I').ends == 1);
        CHECK(!survey_lines(lines.data(), 69001, 'I').begins_with_first);
        lines[end + 1] = 'I';
        CHECK(survey_lines(lines.data(), 69001, 'I').begins_with_first);
        CHECK(survey_lines(lines.data(), end, 'I').ends == 0);
    }
    CHECK(survey_lines(std::string(70001, '\n').data(), 70000, 'I').ends == 70000);

    double value = 0;
    for (const char *text : {"0", "-0", "+1.5", "1.", ".5", "1e22", "-1E-22", "9007199254740993", "1e300",
                             "5e-300", "123456789012345678901234567890"}) {
        CHECK(number(text, value));
        CHECK(value == std::strtod(text, nullptr));
    }
    for (const char *text : {"", "-", "+", "+-1", "-+1", ".", "e5", "1e", "1e+", "nan", "inf", "-inf",
                             "1e999", "0x10", "1.2.3", "1,5", "12abc", "1e99999999999999999999"}) {
        CHECK(!number(text, value));
    }
    // Nothing beyond the end is read: here the end cuts a number in two.
    const std::string text = "12345";
    CHECK(parse_number(text.data(), text.data() + 2, value) == text.data() + 2 && value == 12.0);

    std::int64_t whole = 0;
    const auto integer = [&](const std::string &t) {
        return parse_integer(t.data(), t.data() + t.size(), whole) == t.data() + t.size();
    };
    CHECK(integer("-9223372036854775808") && whole == INT64_MIN);
    CHECK(!integer("9223372036854775808") && !integer("1.0") && !integer("") && !integer("4x"));
    CHECK(split("  id type\tx \r\n") == (std::vector<std::string>{"id", "type", "x"}));
    CHECK(split("").empty() && split(" \n").empty());
    CHECK(quote(std::string("a\0\xff", 3)) == "'a?"
                                              "?'");
    return 0;
}
