// Moments of displacements of frames that come one after the other and are not kept: the multiple-tau scheme.
#pragma once

#include "views.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ionstride {

// Blocks of frames are the leaves of a binary tree; a pair of frames counts for the smallest node that holds
// both.
constexpr std::size_t kBlocks = 16;
constexpr std::size_t kNodes = 2 * kBlocks - 1; // root 0, children 2k+1 and 2k+2, leaves from kBlocks-1

// A lag and the distance of its origins, in frames: origins are the multiples of `step`, a power of two.
struct TauLag {
    std::size_t frames = 0;
    std::size_t step = 1;
};

// The lags of a run: 1 … 15 with every frame as origin, then (8 … 15)·2^l with every 2^l-th frame, up to half
// the run.
std::vector<TauLag> multitau_lags(std::size_t frames);

// Sums over a run of known length, fed in order.  Memory: some 50 kB a series, grows with the logarithm of
// the run.  Positions are decimated, never averaged, so the sums are those of the frames themselves.  The
// result depends, bit for bit, neither on the number of threads nor on how the frames were cut into chunks.
// One thread at a time may call an accumulator.
class MultiTau {
public:
    // Throws std::invalid_argument if there are fewer than two frames.
    MultiTau(std::size_t series, std::size_t frames);

    // Take the next frames: positions_A (t, n, 3) Å.
    // Throws std::invalid_argument, and takes nothing, if n differs, frames come beyond those announced, or a
    // value is not finite.
    void add(View<const double, 3> positions_A, int threads);

    std::size_t series() const { return series_; }
    std::size_t frames() const { return frames_; }
    std::size_t seen() const { return seen_; }
    const std::vector<TauLag> &lags() const { return lags_; }

    // What has come so far.
    //
    //   tensor      (n, M, 6) Å²: <ΔxΔx>, <ΔyΔy>, <ΔzΔz>, <ΔxΔy>, <ΔxΔz>, <ΔyΔz>; NaN where no pair has come
    //   fourth      (n, M) Å⁴: <|Δ|⁴>
    //   origins     (M) number of pairs
    //   node_sum    (n, 31, M) Å²: Σ |Δ|² of the pairs of each node
    //   node_count  (31, M) number of these pairs
    void results(View<double, 3> tensor, View<double, 2> fourth, View<std::int64_t, 1> origins,
                 View<double, 3> node_sum, View<std::int64_t, 2> node_count) const;

private:
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    std::size_t node_of(const TauLag &lag, std::size_t origin) const;
    std::size_t segment_end(const TauLag &lag, std::size_t origin) const;
    std::size_t origins_seen(const TauLag &lag) const;
    void add_tile(std::size_t tile, View<const double, 3> positions_A);
    void add_level(std::size_t tile, std::size_t level, std::size_t begin, std::size_t end,
                   const double *rows);
    void flush(std::size_t tile, std::size_t lag, std::size_t node);

    std::size_t series_;
    std::size_t frames_;
    std::size_t block_; // frames in a block; 0: the run is too short for blocks
    std::size_t seen_ = 0;
    std::size_t levels_ = 1;
    std::vector<TauLag> lags_;
    std::vector<double> history_; // (tiles, levels, 15, 3, lanes) last positions of each level
    std::vector<double> partial_; // (tiles, M, 7, lanes) sums not yet added to those below
    std::vector<double> tensor_;  // (n, M, 6)
    std::vector<double> fourth_;  // (n, M)
    std::vector<double> node_;    // (n, 31, M)
};

} // namespace ionstride
