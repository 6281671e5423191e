#include "check.hpp"

#include "ionstride/dump.hpp"
#include "ionstride/format_error.hpp"

#include <cmath>
#include <fstream>
#include <stdexcept>

#include <unistd.h>

using namespace ionstride;

namespace {

struct Read {
    DumpIndex index;
    DumpLayout layout;
    DumpAtoms atoms;
    std::vector<double> r;
};

std::string path() {
    return "test_dump_" + std::to_string(getpid()) + ".lammpstrj";
}

Read read(const std::string &text, int threads = 2) {
    const MappedFile file("dump", text.data(), text.size());
    Read result;
    result.index = index_dump(file);
    result.layout = layout_of(result.index);
    result.atoms = read_atoms(file, result.index, result.layout, result.index.frames.front());
    const std::size_t frames = result.index.frames.size();
    const std::size_t atoms = result.atoms.id.size();
    result.r.resize(frames * atoms * 3);
    read_positions(file, result.index, result.layout, result.index.frames, result.atoms.id,
                   {result.r.data(), {frames, atoms, 3}}, threads);
    return result;
}

std::string frame(int step, const std::string &columns, const std::vector<std::string> &atoms) {
    std::string text = "ITEM: TIMESTEP\n" + std::to_string(step) + "\nITEM: NUMBER OF ATOMS\n" +
                       std::to_string(atoms.size()) +
                       "\nITEM: BOX BOUNDS pp pp pp\n0 10\n-1 9.0e0\n2 12\nITEM: ATOMS " + columns + "\n";
    for (const auto &atom : atoms) {
        text += atom + "\n";
    }
    return text;
}

std::string fault(const std::string &text) {
    return message_of<FormatError>([&] { read(text); });
}

void test_order_and_choice() {
    const auto dump =
        read(frame(0, "type id element x y z ix iy iz", {"2 5 S 1 2 3 0 0 0", "1 -3 Li 4 5 6 1 0 -1"}) +
             frame(10, "type id element x y z ix iy iz ", {"1 -3 Li 4 5 6 2 0 -1 ", "2 5 S 1 2 3 0 0 0 "}));
    CHECK(dump.layout.kind == Coordinates::x_image && is_unwrapped(dump.layout.kind));
    CHECK((dump.atoms.id == std::vector<std::int64_t>{-3, 5}));
    CHECK((dump.atoms.element == std::vector<std::string>{"Li", "S"}));
    CHECK((dump.atoms.type == std::vector<std::int64_t>{1, 2}));
    CHECK((dump.r == std::vector<double>{14, 5, -4, 1, 2, 3, 24, 5, -4, 1, 2, 3}));
    CHECK(read(frame(0, "id xs ys zs", {"1 0.5 0.5 0.5"})).r == (std::vector<double>{5, 4, 7}));
    CHECK(read(frame(0, "id x y z xu yu zu", {"1 0 0 0 7 8 9"})).r == (std::vector<double>{7, 8, 9}));
    // Ids so far apart that no table holds them, and whose difference does not fit in 64 bits.
    const auto wide = read(frame(0, "id x y z", {"9223372036854775807 1 1 1", "-9223372036854775808 2 2 2"}));
    CHECK(wide.r == (std::vector<double>{2, 2, 2, 1, 1, 1}));
}

void test_boxes() {
    const std::string head =
        "ITEM: UNITS\nmetal\nITEM: TIME\n0.25\nITEM: TIMESTEP\n5\nITEM: NUMBER OF ATOMS\n1\n";
    const std::string atom = "ITEM: ATOMS id xs ys zs\n1 1 1 1\n";
    const auto tilted =
        read(head + "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-2 11 1\n0 10 -2\n0 10 0.5\n" + atom);
    const std::array<double, 9> h = {10, 0, 0, 1, 9.5, 0, -2, 0.5, 10};
    for (std::size_t k = 0; k < 9; ++k) {
        CHECK(std::abs(tilted.index.frames[0].cell_A[k] - h[k]) < 1e-12);
    }
    CHECK(tilted.index.has_time && tilted.index.frames[0].time == 0.25);
    CHECK((tilted.index.frames[0].origin_A == std::array<double, 3>{0, 0, 0}));
    const auto general =
        read(head + "ITEM: BOX BOUNDS abc origin pp pp pp\n0 5 0 1\n0 0 6 2\n7 0 0 3\n" + atom);
    CHECK(general.r == (std::vector<double>{8, 7, 9}));
    CHECK(contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10\n10 10\n" + atom), "line 12"));
    CHECK(
        contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 10\n0 10 1\n0 10\n" + atom), "wanted 2 finite"));
    // Two edges that run backwards have a positive volume between them; bounds may be too far apart for a
    // volume.
    for (const char *box : {"pp pp pp\n10 0\n10 0\n0 10\n", "xy xz yz\n0 10 0\n9 0 0\n9 0 0\n",
                            "abc origin\n0 6 0 1\n5 0 0 1\n0 0 7 1\n", "pp pp pp\n-1e308 1e308\n0 10\n0 10\n",
                            "pp pp pp\n0 1e200\n0 1e200\n0 1\n", "pp pp pp\n0 1e-200\n0 1e-200\n0 1\n",
                            "xy xz yz\n-1e308 1e308 -1e308\n0 10 0\n0 10 0\n"}) {
        CHECK(contains(fault(head + "ITEM: BOX BOUNDS " + box + atom), "no positive finite volume"));
    }
    CHECK(contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 inf\n0 10\n0 10\n" + atom), "wanted 2 finite"));
    CHECK(
        contains(fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 10\nnan 10\n0 10\n" + atom), "wanted 2 finite"));
    // A cell turned about z by half a turn has negative numbers on its diagonal and is none the worse.
    CHECK(read(head + "ITEM: BOX BOUNDS abc origin\n-5 0 0 1\n0 -6 0 2\n0 0 7 3\n" + atom).r ==
          (std::vector<double>{-4, -4, 10}));
    CHECK(contains(
        fault(head + "ITEM: BOX BOUNDS pp pp pp\n0 1e99\n0 1\n0 1\nITEM: ATOMS id xs ys zs\n1 1e300 0 0\n"),
        "no finite position"));
}

void test_restarts_and_cuts() {
    const std::string c = "id x y z";
    const auto restarted = read(frame(0, c, {"1 0 0 0"}) + frame(2, c, {"1 2 0 0"}) +
                                frame(1, c, {"1 1 0 0"}) + frame(2, c, {"1 3 0 0"}));
    CHECK(restarted.index.repeats == 1 && restarted.index.frames.size() == 3);
    CHECK((restarted.r == std::vector<double>{0, 0, 0, 1, 0, 0, 3, 0, 0}));
    // Cut anywhere in the last frame: it is dropped, and the first stays.
    const std::string whole = frame(0, c, {"1 0 0 0", "2 0 0 0"});
    const std::string last = frame(7, c, {"1 1 1 1", "2 1 1 1"});
    for (std::size_t cut = 1; cut < last.size(); ++cut) {
        const auto dump = read(whole + last.substr(0, cut), 1);
        CHECK(!dump.index.complete && dump.index.frames.size() == 1);
    }
    CHECK(contains(fault(whole.substr(0, whole.size() - 1)), "ends inside its first frame"));
    CHECK(contains(fault(""), "empty"));
    CHECK(contains(fault(last.substr(0, last.size() - 8) + whole), "has 1 of its 2 atom lines"));
}

// Frames longer than the blocks in which lines are counted, with lines that begin as a header does.
void test_long_frames() {
    for (const std::size_t atoms : {std::size_t{17}, std::size_t{900}, std::size_t{4000}}) {
        for (const char *columns : {"id element xu yu zu", "element id xu yu zu"}) {
            std::vector<std::string> lines;
            std::vector<double> expected;
            for (std::size_t i = 0; i < atoms; ++i) {
                const std::string id = std::to_string(i + 1);
                const std::string name = i % 100 == 7 ? "I" : "Li";
                lines.push_back((columns[0] == 'i' ? id + " " + name : name + " " + id) + " " + id + ".5 -" +
                                id + ".25 1e-1");
                const auto x = static_cast<double>(i + 1);
                expected.insert(expected.end(), {x + 0.5, -x - 0.25, 0.1});
            }
            const std::string one = frame(0, columns, lines);
            std::string several;
            std::vector<double> all;
            for (int step = 0; step < 5; ++step) {
                several += frame(step, columns, lines);
                all.insert(all.end(), expected.begin(), expected.end());
            }
            const auto dump = read(several);
            CHECK(dump.r == all && dump.r == read(several, 1).r);
            const auto &last = dump.index.frames.back();
            CHECK(last.atoms_line == static_cast<std::int64_t>(4 * (atoms + 9) + 10));
            CHECK(several.compare(last.offset, 16, "ITEM: TIMESTEP\n4") == 0);
            // A frame cut inside: the line at which the next header stands is named.
            const std::string cut = one.substr(0, one.rfind('\n', one.size() - 2) + 1) + one;
            CHECK(contains(fault(cut), "line " + std::to_string(atoms + 9) + ":"));
            CHECK(contains(fault(cut), "has " + std::to_string(atoms - 1) + " of its"));
        }
    }
}

// Memory follows the lines that are there, not the number that a header claims.
void test_absurd_counts() {
    const std::string c = "id x y z";
    const std::string good = frame(0, c, {"1 0 0 0"});
    for (const char *count : {"9223372036854775807", "1000000000000", "3"}) {
        std::string bad = good;
        bad.replace(bad.find("OF ATOMS\n1") + 9, 1, count);
        CHECK(contains(fault(bad), "ends inside its first frame"));
        CHECK(contains(fault(bad + good), "has 1 of its " + std::string(count)));
        const auto dump = read(good + bad);
        CHECK(!dump.index.complete && dump.index.frames.size() == 1);
    }
    // Many small frames after a large one: refused before memory is taken for as many large ones.
    const auto dump = read(good);
    CHECK(contains(message_of<FormatError>([&] { check_counts(dump.index, dump.index.frames, 7); }),
                   "wanted 7"));
}

void test_release() {
    std::string text;
    for (int step = 0; step < 3000; ++step) {
        text += frame(step, "id x y z", {"2 1.5 0 0", "1 0 0 " + std::to_string(step)});
    }
    std::ofstream(path(), std::ios::binary) << text;
    const MappedFile file(path());
    CHECK(std::string(file.begin(), file.end()) == text);
    file.release(file.begin(), file.end());
    file.release(file.begin() + 70000, file.begin() + 70001);
    file.release(file.end(), file.end());
    CHECK(std::string(file.begin(), file.end()) == text);
    CHECK(index_dump(file).frames.size() == 3000);
    const MappedFile memory("memory", text.data(), text.size());
    memory.release(memory.begin(), memory.end());
    CHECK(index_dump(memory).frames.size() == 3000);
}

void test_faults() {
    const std::string c = "id x y z";
    const std::string good = frame(0, c, {"1 0 0 0", "2 0 0 0"});
    CHECK(contains(fault(good + frame(1, c, {"1 0 nan 0", "2 0 0 0"})), "line 21: column 'y' is 'nan'"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "2 0 0"})), "line 22: the line has 3 values"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "2 0 0 0 0"})), "line 22: the line has more"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "1 0 0 0"})), "line 22: atom id 1 comes twice"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0", "3 0 0 0"})),
                   "line 22: atom id 3 is not in the first"));
    CHECK(contains(fault(good + frame(1, c, {"1 0 0 0"})), "1 atoms, wanted 2"));
    CHECK(contains(fault(good + frame(1, "id xu yu zu", {"1 0 0 0", "2 0 0 0"})), "columns"));
    CHECK(contains(fault(frame(0, c, {"1 0 0 0", "1 0 0 0"})), "comes twice"));
    CHECK(contains(fault(frame(0, c, {})), "0 atoms"));
    CHECK(contains(fault(frame(0, "x y z", {"0 0 0"})), "wanted 'id'"));
    CHECK(contains(fault(frame(0, "id vx vy vz", {"1 0 0 0"})), "wanted xu yu zu"));
    CHECK(contains(fault(good + "ITEM: TIMESTEP\n1\n" + good), "second ITEM: TIMESTEP"));
    CHECK(contains(fault("hello\n" + good), "line 1: got 'hello'"));
    CHECK(contains(fault(good + "3 0 0 0\n" + good), "line 12: got '3 0 0 0'"));
    CHECK(
        contains(message_of<std::invalid_argument>([] { MappedFile file("no such file"); }), "no such file"));
    CHECK(contains(message_of<std::invalid_argument>([] { MappedFile file("."); }), "not a regular file"));
}

} // namespace

int main() {
    test_order_and_choice();
    test_boxes();
    test_restarts_and_cuts();
    test_long_frames();
    test_absurd_counts();
    test_release();
    test_faults();
    std::remove(path().c_str());
    return 0;
}
