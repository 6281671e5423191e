#include "ionstride/dump_index.hpp"

#include "ionstride/format_error.hpp"
#include "ionstride/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

namespace ionstride {
namespace {

// Thrown where the file ends inside a frame; it never leaves this file.
struct EndOfFile {};

bool starts_with(std::string_view text, std::string_view with) {
    return text.substr(0, with.size()) == with;
}

class Scanner {
public:
    explicit Scanner(const MappedFile &file) : file_(file), p_(file.begin()), end_(file.end()), kept_(p_) {}

    [[noreturn]] void fail(const std::string &problem) const {
        throw FormatError(file_.path(), problem, std::max<std::int64_t>(line_, 1));
    }

    // The next line without its end.  LAMMPS ends every line: one without its end may lack digits too.
    std::string_view line() {
        const char *stop = end_of_line();
        std::string_view text(p_, static_cast<std::size_t>(stop - p_));
        while (!text.empty() && is_blank(text.back())) {
            text.remove_suffix(1);
        }
        p_ = stop + 1;
        ++line_;
        return text;
    }

    void skip_empty_lines() {
        const char *p = p_;
        std::int64_t passed = 0;
        while (p != end_ && (is_blank(*p) || *p == '\n')) {
            passed += *p == '\n' ? 1 : 0;
            ++p;
            if (p == end_ || p[-1] == '\n') {
                p_ = p;
                line_ += passed;
                passed = 0;
            }
        }
    }

    void skip_atoms(const DumpFrame &frame) {
        const std::int64_t first = line_ + 1;
        const std::int64_t last = frame.n_atoms > std::numeric_limits<std::int64_t>::max() - line_
                                      ? std::numeric_limits<std::int64_t>::max()
                                      : line_ + frame.n_atoms;
        // As long as no header begins in a block, and the frame does not end there, only its lines are
        // counted.
        std::size_t block = kLargestBlock;
        while (line_ < last) {
            release_behind();
            if (block >= kSmallestBlock && static_cast<std::size_t>(end_ - p_) > block) {
                const LineSurvey survey = survey_lines(p_, block, 'I');
                if (!survey.begins_with_first && static_cast<std::int64_t>(survey.ends) < last - line_) {
                    p_ += block;
                    line_ += static_cast<std::int64_t>(survey.ends);
                } else {
                    block /= 4;
                }
                continue;
            }
            // Inside a line, after a block: whether it began with a header is known by then.
            if (p_ != end_ && p_[-1] == '\n' &&
                starts_with({p_, static_cast<std::size_t>(end_ - p_)}, "ITEM:")) {
                ++line_;
                fail("the frame of step " + std::to_string(frame.step) + " has " +
                     std::to_string(line_ - first) + " of its " + std::to_string(frame.n_atoms) +
                     " atom lines, which start at line " + std::to_string(first) +
                     "; if a restarted run was appended to a cut frame, remove that frame");
            }
            p_ = end_of_line() + 1;
            ++line_;
        }
        release_behind();
    }

    bool at_end() const { return p_ == end_; }
    std::size_t offset() const { return static_cast<std::size_t>(p_ - file_.begin()); }
    std::int64_t lines_read() const { return line_; }

private:
    const char *end_of_line() const {
        const void *stop = p_ == end_ ? nullptr : std::memchr(p_, '\n', static_cast<std::size_t>(end_ - p_));
        if (stop == nullptr) {
            throw EndOfFile();
        }
        return static_cast<const char *>(stop);
    }

    void release_behind() {
        if (static_cast<std::size_t>(p_ - kept_) >= kReleaseEvery) {
            file_.release(kept_, p_);
            kept_ = p_;
        }
    }

    static constexpr std::size_t kReleaseEvery = std::size_t{16} << 20U;
    static constexpr std::size_t kLargestBlock = 8192;
    static constexpr std::size_t kSmallestBlock = 128;

    const MappedFile &file_;
    const char *p_;
    const char *end_;
    const char *kept_;      // pages from here on are in use
    std::int64_t line_ = 0; // lines read so far: the number of the last one
};

std::int64_t read_integer(Scanner &in, const std::string &item) {
    const std::string_view text = in.line();
    const char *end = text.data() + text.size();
    std::int64_t value = 0;
    const char *stop = parse_integer(skip_blanks(text.data(), end), end, value);
    if (stop != end) {
        in.fail("ITEM: " + item + " is followed by " + quote(text) + ", wanted a whole number");
    }
    return value;
}

template <std::size_t Count> std::array<double, Count> read_numbers(Scanner &in, const std::string &item) {
    const std::string_view text = in.line();
    const char *end = text.data() + text.size();
    const char *p = text.data();
    std::array<double, Count> values{};
    for (double &value : values) {
        p = skip_blanks(p, end);
        p = p == end ? nullptr : parse_number(p, end, value);
        if (p == nullptr) {
            break;
        }
    }
    if (p == nullptr || skip_blanks(p, end) != end) {
        in.fail("ITEM: " + item + " is followed by " + quote(text) + ", wanted " + std::to_string(Count) +
                " finite number(s)");
    }
    return values;
}

// `general`: cell vectors that may point anywhere, so that the numbers on the diagonal are no lengths.
void check_cell(Scanner &in, const DumpFrame &frame, bool general) {
    const auto &h = frame.cell_A;
    const double volume = h[0] * (h[4] * h[8] - h[5] * h[7]) + h[1] * (h[5] * h[6] - h[3] * h[8]) +
                          h[2] * (h[3] * h[7] - h[4] * h[6]);
    // Two edges that run backwards give a positive volume too.
    const bool backwards = !general && (h[0] < 0.0 || h[4] < 0.0 || h[8] < 0.0);
    if (!backwards && volume > 0.0 && std::isfinite(volume)) {
        return;
    }
    in.fail("the box of step " + std::to_string(frame.step) + " has no positive finite volume" +
            (backwards                 ? ": an upper bound is below its lower bound"
             : general && volume < 0.0 ? ": its cell vectors are left-handed"
                                       : ""));
}

// The forms of "BOX BOUNDS", see the LAMMPS manual, "dump" and "Howto_triclinic".
void read_box(Scanner &in, const std::vector<std::string> &words, DumpFrame &frame) {
    const auto has = [&](const char *word) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    auto &h = frame.cell_A;
    auto &o = frame.origin_A;
    if (has("abc")) {
        for (std::size_t row = 0; row < 3; ++row) {
            const auto v = read_numbers<4>(in, "BOX BOUNDS abc origin");
            std::copy_n(v.begin(), 3, h.begin() + static_cast<std::ptrdiff_t>(3 * row));
            o[row] = v[3];
        }
    } else if (has("xy")) {
        const auto x = read_numbers<3>(in, "BOX BOUNDS xy xz yz");
        const auto y = read_numbers<3>(in, "BOX BOUNDS xy xz yz");
        const auto z = read_numbers<3>(in, "BOX BOUNDS xy xz yz");
        const double xy = x[2];
        const double xz = y[2];
        const double yz = z[2];
        // The bounds are those of the box around the tilted cell.
        const double xlo = x[0] - std::min({0.0, xy, xz, xy + xz});
        const double xhi = x[1] - std::max({0.0, xy, xz, xy + xz});
        const double ylo = y[0] - std::min(0.0, yz);
        const double yhi = y[1] - std::max(0.0, yz);
        h = {xhi - xlo, 0, 0, xy, yhi - ylo, 0, xz, yz, z[1] - z[0]};
        o = {xlo, ylo, z[0]};
    } else {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const auto v = read_numbers<2>(in, "BOX BOUNDS");
            o[axis] = v[0];
            h[4 * axis] = v[1] - v[0];
        }
    }
    check_cell(in, frame, has("abc"));
}

std::vector<std::string> read_header(Scanner &in, DumpFrame &frame) {
    bool has_step = false;
    bool has_count = false;
    bool has_box = false;
    const auto once = [&](bool &seen, const char *item) {
        if (seen) {
            in.fail("a second ITEM: " + std::string(item) +
                    " in one frame; its header is cut before this line");
        }
        seen = true;
    };
    for (;;) {
        const std::string_view text = in.line();
        if (!starts_with(text, "ITEM: ")) {
            in.fail("got " + quote(text) + ", wanted a line that begins with 'ITEM: '");
        }
        const std::string_view item = text.substr(6);
        if (item == "TIMESTEP") {
            once(has_step, "TIMESTEP");
            frame.step = read_integer(in, "TIMESTEP");
        } else if (item == "TIME") {
            once(frame.has_time, "TIME");
            frame.time = read_numbers<1>(in, "TIME")[0];
        } else if (item == "UNITS") {
            in.line();
        } else if (item == "NUMBER OF ATOMS") {
            once(has_count, "NUMBER OF ATOMS");
            frame.n_atoms = read_integer(in, "NUMBER OF ATOMS");
            if (frame.n_atoms < 1) {
                in.fail("the frame has " + std::to_string(frame.n_atoms) + " atoms, wanted at least one");
            }
        } else if (starts_with(item, "BOX BOUNDS")) {
            once(has_box, "BOX BOUNDS");
            read_box(in, split(item), frame);
        } else if (item == "ATOMS" || starts_with(item, "ATOMS ")) {
            const char *missing = !has_step    ? "TIMESTEP"
                                  : !has_count ? "NUMBER OF ATOMS"
                                  : !has_box   ? "BOX BOUNDS"
                                               : nullptr;
            if (missing != nullptr) {
                in.fail("ITEM: ATOMS comes before ITEM: " + std::string(missing) + "; the header is cut");
            }
            if (!is_printable(item)) {
                in.fail("the columns are " + quote(item) + ", wanted printable names");
            }
            return split(item.substr(5));
        } else {
            in.fail("unknown " + quote(text) +
                    ", wanted the items of a dump of atoms (style atom or custom)");
        }
    }
}

// Sort by step; of equal steps the later in the file is the one the run went on from.
std::int64_t sort_and_drop_repeats(std::vector<DumpFrame> &frames) {
    const auto not_later = [](const DumpFrame &a, const DumpFrame &b) { return a.step >= b.step; };
    if (std::adjacent_find(frames.begin(), frames.end(), not_later) == frames.end()) {
        return 0;
    }
    std::sort(frames.begin(), frames.end(), [](const DumpFrame &a, const DumpFrame &b) {
        return a.step != b.step ? a.step < b.step : a.offset > b.offset;
    });
    const auto last = std::unique(frames.begin(), frames.end(), [](const DumpFrame &a, const DumpFrame &b) {
        return a.step == b.step; // of these the first stays
    });
    const auto repeats = frames.end() - last;
    frames.erase(last, frames.end());
    return static_cast<std::int64_t>(repeats);
}

} // namespace

DumpIndex index_dump(const MappedFile &file) {
    DumpIndex index;
    index.path = file.path();
    index.size = file.size();
    Scanner in(file);
    try {
        for (in.skip_empty_lines(); !in.at_end(); in.skip_empty_lines()) {
            DumpFrame frame;
            frame.offset = in.offset();
            auto columns = read_header(in, frame);
            if (index.columns_line == 0) {
                index.columns = std::move(columns);
                index.columns_line = in.lines_read();
            } else if (columns != index.columns) {
                in.fail("the columns of ITEM: ATOMS differ from those of line " +
                        std::to_string(index.columns_line) + "; give the parts as files of their own");
            }
            frame.atoms_offset = in.offset();
            frame.atoms_line = in.lines_read() + 1;
            in.skip_atoms(frame);
            index.frames.push_back(frame);
        }
    } catch (const EndOfFile &) {
        index.complete = false;
    }
    if (index.frames.empty()) {
        in.fail(index.complete ? "the file is empty, wanted a LAMMPS text dump"
                               : "the file ends inside its first frame, wanted at least one whole frame");
    }
    index.repeats = sort_and_drop_repeats(index.frames);
    index.has_time = std::all_of(index.frames.begin(), index.frames.end(),
                                 [](const DumpFrame &frame) { return frame.has_time; });
    return index;
}

} // namespace ionstride
