#include "tests/crash/verdict.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "store/event_reader.hpp"

namespace touchpoint::tests {
namespace {

constexpr std::chrono::seconds patience{10};

class Examination {
  public:
    Examination(const RecordedDay& day, std::size_t cut)
        : day_(day), cut_(cut), there_(day.contents.size() + 1) {}

    std::vector<std::string> run(const std::filesystem::path& folder, store::Cache& cache) {
        ManualClock clock;
        auto opened = store::EventStore::open(day_options(folder / "events", "boot-2"), cache, clock);
        if (!opened) return {"open-failed: " + opened.error().context};
        store_ = std::move(*opened);
        if (cut_ < day_.opened_at) return {};  // nobody had been told anything yet
        if (store_->epoch() != day_.epoch) return {"epoch-changed"};
        read_everything();
        check_numbers();
        check_answers();
        check_journal();
        send_again();
        return std::move(broken_);
    }

  private:
    void broken(const std::string& kind, Stream stream, Sequence sequence) {
        broken_.push_back(kind + ": " + std::string(name(stream)) + " " + std::to_string(sequence));
    }
    void broken(const std::string& kind, const Sent& sent) { broken_.push_back(kind + ": " + sent.event.id); }

    void read_everything() {
        const auto reader = store_->make_reader();
        const store::StoreStats stats = store_->stats();
        for (const Stream stream : all_streams) {
            const Sequence last = store_->horizon(stream);
            Sequence after = stats.first[stream] - 1;
            for (const std::string& consumer : day_consumers)
                if (store_->acknowledged(consumer, stream) < after) broken("deleted-early", stream, after);
            for (const auto& [sequence, content] : day_.content[stream])
                if (sequence <= after) there_[content] = true;
            while (after < last) {
                const auto slice = reader->read(stream, after, "nobody", {});
                if (!slice || slice->events.empty()) return broken("not-contiguous", stream, after + 1);
                for (const store::StoredEvent& event : slice->events) {
                    const bool withdrawn =
                        event.gap >= 0 && day_.withdrawn.contains({stream, event.sequence}) &&
                        slice->gaps[static_cast<std::size_t>(event.gap)].reason == "rejected";
                    if (event.sequence != after + 1 || (event.gap >= 0 && !withdrawn))
                        broken("not-contiguous", stream, event.sequence);
                    after = event.sequence;
                    const auto known = day_.content[stream].find(event.sequence);
                    if (withdrawn) {
                        if (known != day_.content[stream].end()) there_[known->second] = true;
                        continue;
                    }
                    const Content content = day_.content_of(event.members);
                    if (content == 0 || (known != day_.content[stream].end() && known->second != content))
                        broken("content-changed", stream, event.sequence);
                    there_[content] = true;
                }
            }
        }
    }

    void check_numbers() {
        for (const Horizon& told : day_.horizons)
            for (const Stream stream : all_streams)
                if (told.at <= cut_ && told.horizon[stream] > store_->horizon(stream))
                    return broken("horizon-lost", stream, told.horizon[stream]);
        for (const Shown& shown : day_.shown)
            if (shown.at <= cut_ && shown.sequence > store_->horizon(shown.stream))
                return broken("shown-lost", shown.stream, shown.sequence);
        for (const std::string& consumer : day_consumers)
            for (const Stream stream : all_streams) {
                Sequence most = 0;
                for (const Shown& ack : day_.acknowledging)
                    if (ack.at <= cut_ && ack.consumer == consumer && ack.stream == stream)
                        most = std::max(most, ack.sequence);
                if (store_->acknowledged(consumer, stream) > most) broken("position-beyond", stream, most);
            }
    }

    void check_answers() {
        for (const Settlement& told : day_.settled) {
            if (told.at > cut_ || there_[day_.sent[told.sent].content]) continue;
            return broken(told.verdict == Verdict::duplicate ? "duplicate-lost" : "receipt-lost",
                          day_.sent[told.sent]);
        }
    }

    // Everything before the position, nothing behind it: they were in one transaction.
    void check_journal() {
        const auto position = store_->journal_position();
        const std::uint64_t offset = position ? position->offset : 0;
        for (const Horizon& told : day_.horizons)
            if (told.at <= cut_ && told.journal_end > offset) {
                broken_.push_back("journal-cut-lost: " + std::to_string(told.journal_end));
                break;
            }
        std::vector<bool> covered(there_.size());
        for (const Sent& sent : day_.sent)
            if (sent.journal_end <= offset) covered[sent.content] = true;
        for (const Sent& sent : day_.sent)
            if (covered[sent.content] != there_[sent.content]) return broken("journal-position-apart", sent);
    }

    // Devices that got no receipt send again: what is there must be known, what is not must be taken.
    void send_again() {
        std::mutex mutex;
        std::condition_variable told;
        std::vector<Settled> settled;
        store_->start(
            {"journal-2", "boot-2", 0},
            [&](store::HorizonNote note) {
                const std::lock_guard lock(mutex);
                settled.insert(settled.end(), note.settled.begin(), note.settled.end());
                told.notify_all();
            },
            [](const Error&) {});
        store::Submission again;
        std::vector<bool> once(there_.size());
        for (const Sent& sent : day_.sent) {
            if (!sent.event.device_gave_id || once[sent.content]) continue;
            once[sent.content] = true;
            again.events.push_back(sent.event);
            again.events.back().urgent = true;
        }
        const std::size_t expected = again.events.size();
        if (!store_->submit(std::move(again))) return broken_.push_back("dedup-apart: not taken");
        {
            std::unique_lock lock(mutex);
            if (!told.wait_for(lock, patience, [&] { return settled.size() == expected; }))
                return broken_.push_back("dedup-apart: no answer");
        }
        store_->stop();
        for (const Settled& answer : settled) {
            const Sent& sent = day_.sent[answer.ticket - 1];
            if ((answer.verdict == Verdict::duplicate) != there_[sent.content])
                return broken("dedup-apart", sent);
        }
    }

    const RecordedDay& day_;
    const std::size_t cut_;
    std::unique_ptr<store::EventStore> store_;
    std::vector<bool> there_;  // by content: held, deleted after delivery, or withdrawn
    std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_promises(const RecordedDay& day, std::size_t cut,
                                         const std::filesystem::path& folder, store::Cache& cache) {
    return Examination(day, cut).run(folder, cache);
}

}  // namespace touchpoint::tests
