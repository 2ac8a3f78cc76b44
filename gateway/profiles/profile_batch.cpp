#include "gateway/profiles/profile_batch.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "devices/json_slice.hpp"
#include "gateway/profiles/profile_document.hpp"
#include "gateway/profiles/profile_writing.hpp"

namespace touchpoint::gateway {
namespace {

using store::ProfileChange;
using store::ProfileOutcome;
using Verdict = ProfileOutcome::Verdict;
using Made = Read<ProfileChange>;

constexpr std::size_t transaction_bytes_max = 1u << 20;
std::size_t changes_now(const ProfileParts& parts) {
    return parts.pace.changes(parts.events_durable(), parts.clock.steady());
}

// Before each transaction that erases the events are flushed.
std::size_t together(const std::vector<ProfileChange>& changes, bool erase, std::size_t changes_max) {
    return !changes.empty() && erase ? LoadPace::changes_alone : changes_max;
}

void breathe(const ProfileParts& parts, SteadyTime began) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(parts.clock.steady() - began);
    std::this_thread::sleep_for(parts.pace.breath(took));
}

// A line of the feed that erases somebody holds up the writer for so long at most; then it comes again.
constexpr std::chrono::milliseconds erasure_patience{6000};

std::vector<std::string_view> lines_of(std::string_view body) {
    std::vector<std::string_view> lines;
    while (!body.empty() && lines.size() <= profile_lines_max) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        std::string_view line = body.substr(0, end);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (!line.empty()) lines.push_back(line);
        body.remove_prefix(std::min(end + 1, body.size()));
    }
    return lines;
}

// One change of a batch before it is read, or what its document had instead.
struct Entry {
    std::size_t index = 0;            // of the line
    std::optional<std::size_t> item;  // in the line's document, where it was mapped
    std::string_view text;
    std::string_view problem;

    std::string place() const {
        std::string out = "{\"index\":" + std::to_string(index) + ',';
        if (item) out += "\"item\":" + std::to_string(*item) + ',';
        return out;
    }
    bool passed_over() const { return item && text.empty() && problem.empty(); }
};

// What stands in a body, and what it points into.
struct Entries {
    std::vector<std::vector<uplink::MappedItem>> mapped;
    std::vector<Entry> list;
};

Entries entries_of(const std::vector<std::string_view>& lines, const uplink::ProfileMapping* mapping,
                   UtcTime now) {
    Entries out;
    for (std::size_t index = 0; index < lines.size() && out.list.size() <= profile_lines_max; ++index) {
        if (mapping == nullptr) {
            out.list.push_back({index, {}, lines[index], {}});
            continue;
        }
        out.mapped.push_back(uplink::map_profiles(*mapping, lines[index], now));
        std::size_t item = 0;
        for (const uplink::MappedItem& one : out.mapped.back())
            out.list.push_back({index, item++, one.line, one.problem});
    }
    return out;
}

// A document of another platform may be one value over several lines.
std::vector<std::string_view> documents_of(std::string_view body) {
    if (!devices::validate_json(body)) return {body};
    return lines_of(body);
}

// One batch on its way through the writer: a transaction after the other. Erasures stand in transactions of
// their own, because their persons leave the events first; others may write while that is waited for.
class Batch : public std::enable_shared_from_this<Batch> {
  public:
    Batch(const ProfileParts& parts, const uplink::ProfileMapping* mapping, std::string body, Reply reply)
        : parts_(parts), mapping_(mapping), body_(std::move(body)), reply_(std::move(reply)) {}

    // REQUIRES: on the writer
    void begin() {
        const auto lines = mapping_ == nullptr ? lines_of(body_) : documents_of(body_);
        entries_ = entries_of(lines, mapping_, parts_.clock.utc());
        if (lines.empty() || lines.size() > profile_lines_max || entries_.list.size() > profile_lines_max)
            return end(bad("the body must be 1 to " + std::to_string(profile_lines_max) + " lines of JSON"));
        results_.resize(entries_.list.size());
        go_on();
    }

  private:
    void go_on() {
        for (;;) {
            collect();
            if (changes_->empty()) return finish();
            if (erases_ && !events_erased()) return;
            if (!write()) return;
        }
    }

    // False: it goes on when they are, or has ended. Where there is nobody to erase they are at once, and
    // many such lines must not stand on each other's stack.
    bool events_erased() {
        asking_ = true;
        erase_events_first(parts_, changes_, {}, [self = shared_from_this()](const Result<void>& ready) {
            if (!ready) return self->end(self->broken_off(not_erased(ready.error())));
            if (self->asking_) return void(self->ready_ = true);
            if (self->write()) self->go_on();
        });
        asking_ = false;
        return std::exchange(ready_, false);
    }

    Made read(const Entry& entry) const {
        if (!entry.problem.empty()) return Mistake{std::string(entry.problem)};
        if (entry.text.size() > profile_body_bytes_max)
            return Mistake{"a line is at most " + std::to_string(profile_body_bytes_max) + " bytes"};
        return unless_too_far(parts_, profile_line(entry.text, parts_.pseudonymiser), entry.text);
    }

    // The next lines that go into one transaction.
    void collect() {
        std::size_t bytes = 0;
        const std::size_t changes_max = changes_now(parts_);
        for (; next_ < entries_.list.size() && changes_->size() < together(*changes_, erases_, changes_max) &&
               bytes < transaction_bytes_max;
             ++next_) {
            const Entry& entry = entries_.list[next_];
            if (entry.passed_over()) {
                results_[next_] = entry.place() + "\"status\":200,\"outcome\":\"passed-over\"}";
                continue;
            }
            auto change = read(entry);
            if (!change) {
                ProfileOutcome outcome;
                outcome.verdict = Verdict::refused_invalid;
                outcome.detail = std::move(change.error().words);
                results_[next_] = line_of(entry.place(), outcome);
                continue;
            }
            const bool erases = std::holds_alternative<store::ProfileErase>(*change);
            if (!changes_->empty() && erases != erases_) return;
            erases_ = erases;
            bytes += entry.text.size();
            places_.push_back(next_);
            changes_->push_back(std::move(*change));
        }
    }

    // False: the cache cannot be written; the lines before this are visible, and the answer would hide it.
    bool write() {
        const SteadyTime began = parts_.clock.steady();
        const auto outcomes =
            write_changes(parts_, *changes_, parts_.clock.utc(), store::Durable::later, effects_);
        if (!outcomes) return end(broken_off(not_written())), false;
        for (std::size_t i = 0; i < changes_->size(); ++i)
            results_[places_[i]] = line_of(entries_.list[places_[i]].place(), (*outcomes)[i]);
        changes_->clear();
        places_.clear();
        breathe(parts_, began);
        return true;
    }

    static HttpResponse broken_off(HttpResponse response) {
        response.body =
            problem(503, "store-io",
                    "not all can be written now; a part of this may be. Send all of it again: what "
                    "was written is unchanged then")
                .body;
        return response;
    }
    std::string body() const {
        std::string out = "{\"results\":[";
        for (const std::string& result : results_) {
            out += out.back() == '[' ? "\n" : ",\n";
            out += result;
        }
        return out + "]}\n";
    }
    void finish() { end(parts_.profiles.settle() ? json_response(body()) : broken_off(not_written())); }
    void end(HttpResponse response) {
        reply_on_loop(parts_, std::move(effects_), std::move(response), reply_);
    }

    const ProfileParts parts_;
    const uplink::ProfileMapping* mapping_;
    const std::string body_;
    const Reply reply_;
    Entries entries_;  // of body_
    std::size_t next_ = 0;
    Changes changes_ = std::make_shared<std::vector<ProfileChange>>();
    bool erases_ = false;
    bool asking_ = false, ready_ = false;  // of events_erased(); on the writer
    std::vector<std::size_t> places_;      // of the entries that stand in changes_
    std::vector<std::string> results_;
    Effects effects_;
};

const uplink::ProfileMapping* mapping_named(const ProfileParts& parts, std::string_view name) {
    if (parts.mappings == nullptr) return nullptr;
    for (const uplink::ProfileMapping& mapping : *parts.mappings)
        if (mapping.name == name) return &mapping;
    return nullptr;
}

// Lines of the feed on their way through the writer, all of them in one job.
class FeedLines {
  public:
    FeedLines(const ProfileParts& parts, UtcTime not_before) : parts_(parts), not_before_(not_before) {}

    // False: the cache cannot be written, or the events not be changed; they must come again.
    bool take(std::span<const std::string_view> lines) {
        for (const std::string_view line : lines) {
            auto change = read(line);
            if (!change) {
                refuse(change.error().words);
                continue;
            }
            const bool erases = std::holds_alternative<store::ProfileErase>(*change);
            if (changes_.empty()) changes_max_ = changes_now(parts_);
            const bool full = changes_.size() >= together(changes_, erases_, changes_max_) ||
                              bytes_ >= transaction_bytes_max;
            if ((full || erases != erases_) && !write()) return false;
            erases_ = erases;
            bytes_ += line.size();
            changes_.push_back(std::move(*change));
        }
        return write();
    }
    Effects& effects() { return effects_; }
    // Without those that were here in a newer version.
    std::uint64_t refused() const { return refused_; }
    const std::string& why() const { return why_; }  // of the first one

  private:
    Made read(std::string_view line) {
        if (line.size() > profile_body_bytes_max) return Mistake{"a line is too long"};
        // Nobody would hear that an erasure was refused, and it must not be passed over.
        std::size_t left_out = 0;
        auto change = profile_line(line, parts_.pseudonymiser, &left_out);
        for (; left_out != 0; --left_out) refuse("a part of an erasure cannot be read");
        change = unless_too_far(parts_, std::move(change), line);
        if (!change) return change;
        // Who is named is one of the platform's.
        if (auto* put = std::get_if<store::ProfilePut>(&*change)) put->heard = true;
        if (auto* patch = std::get_if<store::ProfilePatch>(&*change)) patch->heard = true;
        return change;
    }

    void refuse(std::string_view why) {
        if (refused_++ == 0) why_ = why;
    }

    bool write() {
        if (changes_.empty()) return true;
        if (erases_ && !erase_events_now(parts_, changes_, erasure_patience)) return false;
        const SteadyTime began = parts_.clock.steady();
        const UtcTime now = parts_.clock.utc();
        const auto outcomes = write_changes(parts_, changes_, now < not_before_ ? not_before_ : now,
                                            store::Durable::later, effects_);
        if (!outcomes) return false;
        for (std::size_t i = 0; i < changes_.size(); ++i) {
            const ProfileOutcome& outcome = (*outcomes)[i];
            // Not the detail: it may name somebody. An older version is nothing to speak of, but for whom it
            // should have erased.
            if (outcome.refused() && (erases_ || outcome.verdict != Verdict::refused_older))
                refuse(type_of(outcome));
            const auto* merge = std::get_if<store::ProfileMerge>(&changes_[i]);
            if (merge != nullptr && outcome.verdict == Verdict::refused_missing && !drop(merge->from))
                return false;
        }
        changes_.clear();
        bytes_ = 0;
        breathe(parts_, began);
        return true;
    }

    // They are part of somebody who is not here: whoever asks for one of them is to be told so, and the
    // platform that he is wanted.
    bool drop(const std::vector<std::string>& ids) {
        for (const std::string& id : ids) {
            const auto look = parts_.profiles.by_id(id, parts_.clock.utc());
            if (!look) return false;
            effects_.changed.push_back(parts_.profiles.reference(id));
            for (const store::Alias& alias : look->profile.aliases) effects_.changed.push_back(alias.key);
        }
        if (!parts_.profiles.drop(ids)) return false;
        parts_.came(ids);
        return true;
    }

    const ProfileParts& parts_;
    const UtcTime not_before_;
    std::vector<ProfileChange> changes_;
    std::size_t changes_max_ = 0;
    bool erases_ = false;
    std::size_t bytes_ = 0;
    std::uint64_t refused_ = 0;
    std::string why_;
    Effects effects_;
};

}  // namespace

void profile_batch(const ProfileParts& parts, const HttpRequest& request, const Reply& reply) {
    const uplink::ProfileMapping* mapping = nullptr;
    if (!request.query.empty()) {
        mapping = mapping_named(parts, request.query_value("mapping"));
        if (mapping == nullptr) return reply(bad("there is no mapping of this name here"));
    }
    const auto work = std::make_shared<Batch>(parts, mapping, request.body, reply);
    if (!parts.writer.post([work] { work->begin(); })) reply(busy());
}

uplink::LinesWritten write_feed_lines(const ProfileParts& parts, std::span<const std::string_view> lines,
                                      UtcTime not_before) {
    FeedLines work(parts, not_before);
    const bool stored = work.take(lines) && parts.profiles.settle();
    hear_on_loop(parts, std::move(work.effects()));
    return {stored, work.refused(), work.why()};
}

}  // namespace touchpoint::gateway
