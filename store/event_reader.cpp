#include "store/event_reader.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "gateway/core/event_text.hpp"
#include "store/chunk.hpp"
#include "store/gap_rows.hpp"
#include "store/reader_source.hpp"
#include "store/records.hpp"

namespace touchpoint::store {
namespace {

// A look at the tables is bounded: this many chunks are copied out in one transaction.
constexpr int chunks_copied_max = 64;

// What stands at and behind one number, copied out of the transaction.
struct Piece {
    Sequence first = 0;
    Sequence last = 0;  // of the part that is wanted
    Sequence chunk_at = 0;
    std::string chunk;  // empty: a gap
    Gap gap;
};

struct Wanted {
    Stream stream;
    const std::string& consumer;
    Sequence horizon;
};

// What explains `next` for this consumer, or else the next gap behind it.
Result<std::optional<Gap>> gap_from(const Transaction& txn, Table table, const Wanted& wanted, Sequence next,
                                    const std::vector<Gap>& unwritten) {
    std::optional<Gap> best;
    const auto consider = [&](const Gap& gap) {
        const bool covers = gap.first <= next;
        const bool better =
            !best || (covers ? best->first > next || best->last < gap.last : best->first > gap.first);
        if (better) best = gap;
    };
    for (const Gap& gap : unwritten)
        if (gap.last >= next) consider(gap);
    const auto everybody = gap_rows::from(txn, table, wanted.stream, "", next);
    if (!everybody) return everybody.error();
    if (*everybody) consider(**everybody);
    if (wanted.consumer.empty()) return best;
    const auto own = gap_rows::from(txn, table, wanted.stream, wanted.consumer, next);
    if (!own) return own.error();
    if (*own) consider(**own);
    return best;
}

Piece missing(const Wanted& wanted, Sequence first, Sequence last, const char* reason) {
    Piece piece;
    piece.first = first;
    piece.last = last;
    piece.gap = Gap{wanted.stream, "", first, last, reason, "", UtcTime{}};
    return piece;
}

// What explains `next`: part of a chunk or a gap. REQUIRES: next <= wanted.horizon
Result<Piece> piece_at(const Transaction& txn, Table table, const Wanted& wanted, Sequence next,
                       const std::vector<Gap>& unwritten) {
    const auto gap = gap_from(txn, table, wanted, next, unwritten);
    if (!gap) return gap.error();
    if (*gap && (*gap)->first <= next) {
        Piece piece;
        piece.first = next;
        piece.last = std::min((*gap)->last, wanted.horizon);
        piece.gap = **gap;
        return piece;
    }
    Sequence end = wanted.horizon;  // not beyond it, nor into the next gap
    if (*gap && (*gap)->first > next) end = std::min(end, (*gap)->first - 1);

    const auto row = txn.before(table, chunk_key(wanted.stream, next + 1));
    if (!row) return row.error();
    if (*row && is_chunk_of((*row)->key, wanted.stream)) {
        const auto header = read_header((*row)->value);
        const Sequence first = chunk_first((*row)->key);
        if (header && header->first == first && header->last >= next) {
            Piece piece;
            piece.first = next;
            piece.last = std::min(end, header->last);
            piece.chunk_at = first;
            piece.chunk = (*row)->value;
            return piece;
        }
        if (!header) {  // its numbers end where the next chunk begins
            const auto following = txn.seek(table, chunk_key(wanted.stream, next + 1));
            if (!following) return following.error();
            if (*following && is_chunk_of((*following)->key, wanted.stream))
                end = std::min(end, chunk_first((*following)->key) - 1);
            return missing(wanted, next, end, "damaged");
        }
    }
    const auto following = txn.seek(table, chunk_key(wanted.stream, next + 1));
    if (!following) return following.error();
    if (*following && is_chunk_of((*following)->key, wanted.stream))
        end = std::min(end, chunk_first((*following)->key) - 1);
    return missing(wanted, next, end, "missing");
}

// The views of events `first` to `last` out of a chunk's lines.
void split(const std::string& lines, Sequence chunk_first_number, const Piece& piece, UtcTime recorded,
           Slice& slice, const EventReader::Limits& limits, bool& limit_reached) {
    std::size_t at = 0;
    for (Sequence number = chunk_first_number; number <= piece.last; ++number) {
        const std::size_t end = lines.find('\n', at);
        if (end == std::string::npos) return;
        if (number >= piece.first) {
            const std::size_t bytes = end - at;
            if (!slice.events.empty() &&
                (slice.bytes + bytes > limits.bytes_max || slice.events.size() >= limits.events_max)) {
                limit_reached = true;
                return;
            }
            slice.events.push_back({number, recorded, std::string_view(lines).substr(at, bytes), -1});
            slice.bytes += bytes;
        }
        at = end + 1;
    }
}

// What is held of persons who were erased since is given without them. Whom a row names up to which number
// is asked once for each of them.
Result<void> take_persons_out(const Transaction& txn, Table table, Slice& slice) {
    std::unordered_map<std::string, Sequence> erased_through;
    std::optional<Error> trouble;
    for (StoredEvent& event : slice.events) {
        if (event.gap >= 0) continue;
        const IsErased is_erased = [&](std::string_view pseudonym) {
            const auto [found, fresh] = erased_through.emplace(pseudonym, 0);
            if (fresh && !pseudonym.empty() && pseudonym.size() <= EventStore::pseudonym_bytes_max) {
                const auto row = txn.get(table, erased_key(pseudonym));
                if (!row) return trouble = row.error(), true;
                if (*row) {  // one that is damaged erases all
                    const auto known = decode_erased(**row);
                    found->second = known ? known->last[slice.stream] : ~Sequence{0};
                }
            }
            return event.sequence <= found->second;
        };
        const auto persons = persons_in(slice.stream, event.members);
        if (std::none_of(persons.begin(), persons.end(), is_erased)) continue;
        if (trouble) return *trouble;
        auto text = std::make_shared<const std::string>(without_person(slice.stream, event.members));
        slice.bytes -= std::min<std::uint64_t>(slice.bytes, event.members.size());
        slice.bytes += text->size();
        event.members = *text;
        slice.buffers.push_back(std::move(text));
    }
    return {};
}

void add_gap(Slice& slice, Gap gap, Sequence first, Sequence last) {
    gap.first = std::max(gap.first, first);
    gap.last = last;
    slice.events.push_back({last, gap.time, {}, static_cast<int>(slice.gaps.size())});
    slice.gaps.push_back(std::move(gap));
}

}  // namespace

EventReader::EventReader(std::shared_ptr<const Source> source) : source_(std::move(source)) {}
EventReader::~EventReader() = default;

Result<Slice> EventReader::read(Stream stream, Sequence after, const std::string& consumer, Limits limits) {
    Slice slice;
    slice.stream = stream;
    Wanted wanted{stream, consumer, source_->horizon_of(stream)};
    if (after >= wanted.horizon) return slice;
    const std::vector<Gap> unwritten = source_->unwritten_gaps(stream, consumer);

    std::vector<Piece> pieces;
    // Where somebody was erased the transaction goes on until it is known who: his row may leave together
    // with his last event.
    const bool somebody_erased = source_->erased_persons.load(std::memory_order_acquire) > 0;
    std::optional<Transaction> still;
    {
        auto txn = source_->environment->begin_read();
        if (!txn) return txn.error();
        wanted.horizon = source_->settled_horizon(stream, consumer, after, wanted.horizon);
        std::uint64_t raw_bytes = 0;
        for (Sequence next = after + 1; next <= wanted.horizon && raw_bytes < limits.bytes_max &&
                                        static_cast<int>(pieces.size()) < chunks_copied_max;) {
            auto piece = piece_at(*txn, source_->table, wanted, next, unwritten);
            if (!piece) return piece.error();
            if (!piece->chunk.empty()) {
                const auto header = read_header(piece->chunk);
                raw_bytes +=
                    header ? header->raw_bytes * (piece->last - piece->first + 1) / header->events : 0;
            }
            next = piece->last + 1;
            pieces.push_back(std::move(*piece));
        }
        if (somebody_erased) still.emplace(std::move(*txn));
    }

    bool limit_reached = false;
    for (const Piece& piece : pieces) {
        if (slice.events.size() >= limits.events_max) limit_reached = true;
        if (limit_reached) break;
        if (piece.chunk.empty()) {
            add_gap(slice, piece.gap, piece.first, piece.last);
            continue;
        }
        const auto header = read_header(piece.chunk);
        std::shared_ptr<const std::string> lines;
        if (cached_lines_ && cached_stream_ == stream && cached_first_ == piece.chunk_at) {
            lines = cached_lines_;
        } else if (auto unpacked = unpack(piece.chunk); unpacked) {
            lines = std::make_shared<const std::string>(std::move(*unpacked));
        }
        if (!lines) {
            add_gap(slice, missing(wanted, piece.first, piece.last, "damaged").gap, piece.first, piece.last);
            continue;
        }
        split(*lines, piece.chunk_at, piece, header->recorded, slice, limits, limit_reached);
        const Sequence given = slice.events.empty() ? after : slice.events.back().sequence;
        if (!limit_reached && given < piece.last)  // fewer lines than its header says: no silent hole
            add_gap(slice, missing(wanted, given + 1, piece.last, "damaged").gap, given + 1, piece.last);
        slice.buffers.push_back(lines);
        cached_stream_ = stream;
        cached_first_ = piece.chunk_at;
        cached_lines_ = std::move(lines);
    }
    if (still)
        if (const auto taken_out = take_persons_out(*still, source_->table, slice); !taken_out)
            return taken_out.error();
    slice.more = !slice.events.empty() && slice.events.back().sequence < wanted.horizon;
    if (!slice.more) cached_lines_.reset();  // nothing left to read: hold no memory
    return slice;
}

Result<std::vector<Gap>> EventReader::gaps(Stream stream, Sequence after,
                                           const std::optional<std::string>& consumer,
                                           std::size_t max) const {
    const Sequence horizon = source_->horizon_of(stream);
    std::vector<Gap> found = source_->unwritten_gaps(stream, consumer);
    {
        const auto txn = source_->environment->begin_read();
        if (!txn) return txn.error();
        std::vector<std::string> owners{""};
        if (consumer && !consumer->empty()) owners.push_back(*consumer);
        if (!consumer) {
            auto all = gap_rows::owners(*txn, source_->table, stream);
            if (!all) return all.error();
            owners = std::move(*all);
        }
        for (const std::string& owner : owners) {
            auto rows = gap_rows::list(*txn, source_->table, stream, owner, after, max);
            if (!rows) return rows.error();
            for (Gap& row : *rows)
                if (auto told = source_->settled(std::move(row))) found.push_back(std::move(*told));
        }
    }
    const auto place = [](const Gap& gap) { return std::tie(gap.last, gap.consumer); };
    std::erase_if(found, [&](const Gap& gap) { return gap.last <= after || gap.last > horizon; });
    std::stable_sort(found.begin(), found.end(),
                     [&](const Gap& a, const Gap& b) { return place(a) < place(b); });
    // What is being written stands in both places.
    found.erase(std::unique(found.begin(), found.end(),
                            [&](const Gap& a, const Gap& b) { return place(a) == place(b); }),
                found.end());
    std::size_t end = std::min(max, found.size());
    while (end > 0 && end < found.size() && found[end].last == found[end - 1].last) ++end;
    found.resize(end);
    return found;
}

Result<Sequence> EventReader::at_time(Stream stream, UtcTime time) const {
    const Sequence horizon = source_->horizon_of(stream);
    Sequence found = horizon;
    const auto txn = source_->environment->begin_read();
    if (!txn) return txn.error();
    // The chunk that holds a number, or the next one behind it.
    const auto chunk_at = [&](Sequence number) -> Result<std::optional<KeyValue>> {
        auto row = txn->before(source_->table, chunk_key(stream, number + 1));
        if (!row) return row.error();
        if (*row && is_chunk_of((*row)->key, stream)) {
            const auto header = read_header((*row)->value);
            if (!header || header->last >= number) return row;
        }
        row = txn->seek(source_->table, chunk_key(stream, number));
        if (row && *row && !is_chunk_of((*row)->key, stream)) return std::optional<KeyValue>{};
        return row;
    };
    for (Sequence low = 1, high = horizon; low <= high;) {
        const Sequence middle = low + (high - low) / 2;
        const auto row = chunk_at(middle);
        if (!row) return row.error();
        const auto header = *row ? read_header((*row)->value) : fail(Errc::not_found, "");
        if (!*row || (header && header->recorded >= time)) {
            if (*row) found = std::min(found, header->first - 1);
            high = std::min(middle, header ? header->first : middle) - 1;
        } else {
            low = header ? header->last + 1 : middle + 1;
        }
    }
    return found;
}

}  // namespace touchpoint::store
