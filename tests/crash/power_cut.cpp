#include "tests/crash/power_cut.hpp"

#include <algorithm>
#include <map>
#include <random>

namespace touchpoint::tests {
namespace {

// Writes `op`, or bytes `from` to `to` of it.
void apply(FileState& file, const DiskOp& op, std::size_t from, std::size_t to) {
    file.length = std::max(file.length, op.offset + to);
    if (op.kind == DiskOp::Kind::zeros) {  // ahead of everything written so far, or over what is there
        const std::uint64_t end = std::min<std::uint64_t>(op.offset + to, file.bytes.size());
        for (std::uint64_t at = op.offset + from; at < end; ++at) file.bytes[at] = '\0';
        return;
    }
    if (file.bytes.size() < op.offset + to) file.bytes.resize(op.offset + to, '\0');
    op.data.copy(file.bytes.data() + op.offset + from, to - from, from);
}

void apply(FileState& file, const DiskOp& op) { apply(file, op, 0, op.end - op.offset); }

// The file on its way: what is certain, and the writes that are not.
struct Disk {
    FileState durable;
    std::vector<const DiskOp*> pending;

    void step(const DiskOp& op, bool ignore_flushes) {
        switch (op.kind) {
            case DiskOp::Kind::zeros:
            case DiskOp::Kind::write:
                pending.push_back(&op);
                break;
            case DiskOp::Kind::written_through:
                apply(durable, op);
                break;
            case DiskOp::Kind::length:
                durable.length = op.end;
                durable.bytes.resize(std::min<std::uint64_t>(durable.bytes.size(), op.end));
                break;
            case DiskOp::Kind::flush:
                if (ignore_flushes) break;
                for (const DiskOp* write : pending) apply(durable, *write);
                pending.clear();
                break;
            case DiskOp::Kind::lost:
                pending.clear();
                break;
        }
    }
};

FileState with_whole_writes(const Disk& disk, std::uint64_t chosen) {
    FileState file = disk.durable;
    for (std::size_t i = 0; i < disk.pending.size(); ++i)
        if ((chosen >> i & 1) != 0) apply(file, *disk.pending[i]);
    return file;
}

FileState with_torn_writes(const Disk& disk, std::mt19937_64& random) {
    FileState file = disk.durable;
    const std::size_t piece = random() % 2 == 0 ? 512 : 4096;
    const std::uint64_t of_four = 1 + random() % 3;  // a quarter, half or three quarters of the pieces arrive
    for (const DiskOp* write : disk.pending)
        for (std::size_t at = 0, all = write->end - write->offset; at < all;) {
            // Pieces lie on the file's own boundaries, not on those of the write.
            const std::size_t to = std::min(all, at + piece - (write->offset + at) % piece);
            if (random() % 4 < of_four) apply(file, *write, at, to);
            at = to;
        }
    return file;
}

// How many writes are pending behind each operation.
std::vector<std::size_t> count_pending(const std::vector<DiskOp>& ops, bool ignore_flushes) {
    std::vector<std::size_t> counts;
    std::size_t pending = 0;
    for (const DiskOp& op : ops) {
        if (op.kind == DiskOp::Kind::write || op.kind == DiskOp::Kind::zeros) ++pending;
        if (op.kind == DiskOp::Kind::flush && !ignore_flushes) pending = 0;
        if (op.kind == DiskOp::Kind::lost) pending = 0;
        counts.push_back(pending);
    }
    return counts;
}

struct Wanted {
    bool all_subsets = false;
    bool certain_only = false;
    std::size_t torn = 0;
};

}  // namespace

std::size_t cut_power(const std::vector<DiskOp>& ops, const CutPlan& plan,
                      const std::function<bool(std::size_t cut, const FileState& file)>& look) {
    std::mt19937_64 random(plan.seed);
    const std::vector<std::size_t> pending = count_pending(ops, plan.ignore_flushes);
    std::vector<std::size_t> order(ops.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);

    std::map<std::size_t, Wanted> wanted;
    std::size_t left = plan.exhaustive_states;
    for (const std::size_t at : order) {
        if (pending[at] > plan.exhaustive_writes_max || left >> pending[at] == 0) continue;
        left -= std::size_t{1} << pending[at];
        wanted[at].all_subsets = true;
    }
    for (std::size_t i = 0; i < plan.random_states && !ops.empty(); ++i) ++wanted[random() % ops.size()].torn;

    for (const std::size_t cut : plan.certain_only_at)
        if (cut > 0 && cut <= ops.size()) wanted[cut - 1].certain_only = true;

    std::size_t states = 0;
    Disk disk;
    for (std::size_t at = 0; at < ops.size(); ++at) {
        disk.step(ops[at], plan.ignore_flushes);
        const auto here = wanted.find(at);
        if (here == wanted.end()) continue;
        if (here->second.certain_only) {
            if (!look(at + 1, disk.durable)) return states + 1;
            ++states;
        }
        if (here->second.all_subsets)
            for (std::uint64_t chosen = 0; chosen >> disk.pending.size() == 0; ++chosen, ++states)
                if (!look(at + 1, with_whole_writes(disk, chosen))) return states + 1;
        for (std::size_t i = 0; i < here->second.torn; ++i, ++states)
            if (!look(at + 1, with_torn_writes(disk, random))) return states + 1;
    }
    return states;
}

}  // namespace touchpoint::tests
