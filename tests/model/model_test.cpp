// Thousands of random steps on the real store and on a model of a few maps, which must agree at every look.
//
// A store lives in a child process and ends by an orderly stop or by kill -9 between any two of its steps.
// The parent then opens what is left. What was submitted and is not in it is submitted again in the next
// life, as the journal does. TOUCHPOINT_SEED=n repeats one run.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>

#include "gateway/core/log.hpp"
#include "store/event_reader.hpp"
#include "store/event_store.hpp"
#include "tests/model/model.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

constexpr int lives = 36;
constexpr int steps_max = 120;
const std::vector<std::string> consumers = {"platform", "analytics", "stock"};

using Numbers = std::map<std::string, PerStream<Sequence>>;
using Places = std::map<std::string, PerStream<std::set<Sequence>>>;

struct Submitted {
    std::vector<Event> events;
    std::uint64_t journal_end = 0;
};

class Lives {
  public:
    explicit Lives(std::uint64_t seed) : random_(seed) {
        cache_ =
            std::move(*store::Cache::open({.folder = folder_.path() / "cache"}));  // nobody is named here
    }

    void play() {
        for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) {
            SCOPED_TRACE("life " + std::to_string(life));
            kill_at_ = random_() % 3 == 0 ? steps_max + 1 : static_cast<int>(random_() % steps_max);
            read_report(run_child());
            look();
        }
    }
    int steps() const { return steps_; }
    Sequence events() const {
        Sequence all = 0;
        for (const Stream stream : all_streams) all += there_.last(stream);
        return all;
    }

  private:
    store::EventStore::Options options() const {
        store::EventStore::Options made;
        made.folder = folder_.path() / "events";
        made.bytes_max = 64u << 20;
        made.commit_interval = std::chrono::milliseconds(2);
        made.dedup_ids = 1'000'000;
        for (const std::string& name : consumers) {
            store::ConsumerSpec spec;
            spec.name = name;
            spec.streams.values.fill(true);
            spec.streams[Stream::quarantine] = name != "platform";
            made.consumers.push_back(spec);
        }
        return made;
    }

    // --- in the child
    // ---------------------------------------------------------------------------------------

    struct Child {
        int report = -1;
        std::unique_ptr<store::EventStore> store;
        std::unique_ptr<store::EventReader> reader;
        Model expected;  // with everything that this life has submitted
        Places gaps;     // recorded in this life: seen at once
    };

    // One line is one write: it is there whole when the child dies behind it.
    [[gnu::format(printf, 2, 3)]] static void say(const Child& child, const char* format, ...) {
        char line[256];
        va_list rest;
        va_start(rest, format);
        const int size = std::vsnprintf(line, sizeof line, format, rest);
        va_end(rest);
        if (::write(child.report, line, static_cast<std::size_t>(size)) != size) ::_exit(9);
    }

    void submit(Child& child, const Submitted& one) {
        for (const Event& event : one.events) child.expected.apply(event);
        say(child, "submitted %llu\n", static_cast<unsigned long long>(one.journal_end));
        store::Submission submission;
        submission.events = one.events;
        submission.journal_end = one.journal_end;
        if (!child.store->submit(std::move(submission))) say(child, "wrong: submit refused\n");
    }

    void live(int report) {
        ::alarm(60);
        Child child;
        child.report = report;
        child.expected = there_;
        ManualClock clock;
        auto opened = store::EventStore::open(options(), *cache_, clock);
        if (!opened) return say(child, "wrong: cannot open\n");
        child.store = std::move(*opened);
        child.reader = child.store->make_reader();
        const Model all = with_everything();
        child.store->start(
            {"journal", "boot", 0}, [&](const store::HorizonNote& note) { hear(child, all, note); },
            [&](const Error&) { say(child, "wrong: the store failed\n"); });
        for (const Submitted& one : waiting_) submit(child, one);
        std::mt19937_64 random(random_());
        for (std::size_t step = 0; step < plan_.size(); ++step) {
            if (static_cast<int>(step) == kill_at_) ::raise(SIGKILL);
            say(child, "step\n");
            if (!plan_[step].events.empty())
                submit(child, plan_[step]);
            else
                act(child, random);
        }
        if (kill_at_ <= steps_max) ::raise(SIGKILL);
        child.store->stop();
        say(child, "stopped\n");
    }

    static void hear(const Child& child, const Model& all, const store::HorizonNote& note) {
        for (const Settled& one : note.settled)
            if (one.verdict != all.verdict(one.ticket))
                say(child, "wrong: ticket %llu was told verdict %d\n",
                    static_cast<unsigned long long>(one.ticket), static_cast<int>(one.verdict));
        if (note.journal_end != 0)
            say(child, "published %llu\n", static_cast<unsigned long long>(note.journal_end));
    }

    void act(Child& child, std::mt19937_64& random) {
        const std::string& name = consumers[random() % consumers.size()];
        const Stream stream = all_streams[random() % stream_count];
        if (!options().consumers[static_cast<std::size_t>(&name - consumers.data())].streams[stream]) return;
        const Sequence after = child.store->acknowledged(name, stream);
        store::EventReader::Limits limits;
        limits.events_max = 1 + static_cast<std::uint32_t>(random() % 40);
        const auto slice = child.reader->read(stream, after, name, limits);
        if (!slice) return say(child, "wrong: read failed\n");
        Sequence expected = after;
        for (const store::StoredEvent& one : slice->events) {
            const bool recorded = child.gaps[name][stream].contains(one.sequence);
            const bool earlier = gaps_[name][stream].contains(one.sequence);
            if (one.sequence != ++expected) return say(child, "wrong: not contiguous\n");
            if (one.gap >= 0 ? !recorded && !earlier : recorded)
                return say(child, "wrong: gap of %s at %llu\n", name.c_str(),
                           static_cast<unsigned long long>(one.sequence));
            if (one.gap < 0 && one.members != child.expected.members(stream, one.sequence))
                return say(child, "wrong: content of %llu\n", static_cast<unsigned long long>(one.sequence));
        }
        if (slice->events.empty()) return;
        const Sequence upto = slice->events[random() % slice->events.size()].sequence;
        const int number = static_cast<int>(stream);
        if (random() % 6 == 0) {
            say(child, "gap %s %d %llu\n", name.c_str(), number, static_cast<unsigned long long>(upto));
            child.gaps[name][stream].insert(upto);
            child.store->record_gap({stream, name, upto, upto, "parked", "", {}});
            return;  // seen in its place before it is acknowledged
        }
        say(child, "acknowledging %s %d %llu\n", name.c_str(), number, static_cast<unsigned long long>(upto));
        if (!child.store->acknowledge(name, stream, upto)) say(child, "wrong: acknowledgement refused\n");
    }

    // --- in the parent
    // --------------------------------------------------------------------------------------

    Event make_event() {
        static const std::vector<std::string> sources = {"/stores/s/pos/t1", "/stores/s/kiosk/k1"};
        Event event;
        event.stream = all_streams[random_() % stream_count];
        event.source = sources[random_() % sources.size()];
        event.device_gave_id = random_() % 2 == 0;
        // Few ids and fewer contents: repeats and ids used again.
        event.id = event.device_gave_id ? "d" + std::to_string(random_() % 400)
                                        : "u" + std::to_string(++last_ticket_);
        event.content_hash = random_() % 10 == 0 ? 2 : 1;
        event.members = "\"id\":\"" + event.id + "\",\"data\":\"" + std::string(random_() % 200, 'x') + "\"";
        event.urgent = random_() % 4 == 0;
        event.ticket = ++last_ticket_;
        return event;
    }

    // What each step of the life will be: a submission, or (no events) something that consumers do.
    void make_plan() {
        plan_.assign(steps_max, {});
        for (Submitted& step : plan_) {
            if (random_() % 2 == 0) continue;
            for (std::size_t n = 1 + random_() % 5; n > 0; --n) step.events.push_back(make_event());
            step.journal_end = journal_end_ += 10;
        }
    }
    // What the store will hold at the end of the life, whenever it ends.
    Model with_everything() const {
        Model model = there_;
        for (const auto* list : {&waiting_, &plan_})
            for (const Submitted& one : *list)
                for (const Event& event : one.events) model.apply(event);
        return model;
    }

    std::string run_child() {
        make_plan();
        int pipe[2];
        if (::pipe(pipe) != 0) return "wrong: no pipe\n";
        const pid_t child = ::fork();
        if (child == 0) {
            ::close(pipe[0]);
            live(pipe[1]);
            ::_exit(0);
        }
        ::close(pipe[1]);
        std::string said;
        char buffer[4096];
        for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
            said.append(buffer, static_cast<std::size_t>(n));
        ::close(pipe[0]);
        int status = 0;
        ::waitpid(child, &status, 0);
        const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kill_at_ <= steps_max;
        EXPECT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) << "status " << status << "\n"
                                                                               << said;
        return said;
    }

    void read_report(const std::string& said) {
        published_ = submitted_ = 0;
        stopped_ = false;
        std::istringstream lines(said);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string word;
            std::string name;
            int stream = 0;
            Sequence number = 0;
            words >> word;
            if (word == "wrong:") ADD_FAILURE() << line;
            if (word == "step") ++steps_;
            if (word == "stopped") stopped_ = true;
            if (word == "submitted") words >> submitted_;
            if (word == "published") words >> number, published_ = std::max(published_, number);
            if (word == "gap")
                words >> name >> stream >> number,
                    gaps_[name][all_streams[static_cast<std::size_t>(stream)]].insert(number);
            if (word == "acknowledging") {
                words >> name >> stream >> number;
                Sequence& most = most_acknowledged_[name][all_streams[static_cast<std::size_t>(stream)]];
                most = std::max(most, number);
            }
        }
    }

    // Opens what the life left behind and holds it against the model.
    void look() {
        ManualClock clock;
        auto opened = store::EventStore::open(options(), *cache_, clock);
        ASSERT_TRUE(opened) << opened.error().context;
        const store::EventStore& store = **opened;
        if (epoch_.empty()) epoch_ = store.epoch();
        EXPECT_EQ(store.epoch(), epoch_);

        const auto position = store.journal_position();
        const std::uint64_t upto = position ? position->offset : 0;
        EXPECT_GE(upto, std::max(published_, upto_));
        EXPECT_LE(upto, std::max(submitted_, upto_));
        EXPECT_TRUE(!stopped_ || upto == std::max(submitted_, upto_)) << "an orderly stop writes everything";
        upto_ = upto;
        std::vector<Submitted> left;
        for (const auto* list : {&waiting_, &plan_})
            for (const Submitted& one : *list) {
                const bool never_submitted = list == &plan_ && one.journal_end > submitted_;
                if (one.events.empty() || never_submitted) continue;
                if (one.journal_end > upto)
                    left.push_back(one);
                else
                    for (const Event& event : one.events) there_.apply(event);
            }
        waiting_ = std::move(left);

        const store::StoreStats stats = store.stats();
        const auto reader = store.make_reader();
        for (const Stream stream : all_streams) {
            ASSERT_EQ(store.horizon(stream), there_.last(stream)) << name(stream);
            Sequence least = there_.last(stream);
            for (const store::ConsumerState& consumer : stats.consumers) {
                if (!consumer.streams[stream]) continue;
                const Sequence acknowledged = consumer.acknowledged[stream];
                least = std::min(least, acknowledged);
                EXPECT_GE(acknowledged, acknowledged_[consumer.name][stream]);
                EXPECT_LE(acknowledged, most_acknowledged_[consumer.name][stream]);
                EXPECT_TRUE(!stopped_ || acknowledged == most_acknowledged_[consumer.name][stream]);
                acknowledged_[consumer.name][stream] = acknowledged;
                most_acknowledged_[consumer.name][stream] = acknowledged;
            }
            const Sequence first = stats.first[stream];
            EXPECT_LE(first, least + 1) << "deleted before everybody had it";
            EXPECT_EQ(stats.events[stream], there_.last(stream) + 1 - first);
            for (Sequence after = first - 1; after < there_.last(stream);) {
                const auto slice = reader->read(stream, after, "nobody", {});
                ASSERT_TRUE(slice && !slice->events.empty());
                for (const store::StoredEvent& one : slice->events) {
                    ASSERT_EQ(one.sequence, ++after);
                    ASSERT_LT(one.gap, 0);
                    ASSERT_EQ(one.members, there_.members(stream, one.sequence));
                }
            }
        }
    }

    std::mt19937_64 random_;
    const TempFolder folder_{
        std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path()};
    std::unique_ptr<store::Cache> cache_;
    int steps_ = 0;
    Ticket last_ticket_ = 0;
    std::uint64_t journal_end_ = 0;

    // Of the life that runs.
    std::vector<Submitted> plan_;
    int kill_at_ = 0;
    std::uint64_t submitted_ = 0;
    std::uint64_t published_ = 0;
    bool stopped_ = false;

    // What is known to be on the disk.
    std::string epoch_;
    Model there_;
    std::uint64_t upto_ = 0;
    Numbers acknowledged_;
    Numbers most_acknowledged_;
    Places gaps_;
    std::vector<Submitted> waiting_;  // submitted and not in the store: the journal has them
};

TEST(Model, AgreesWithTheStoreOverRandomLives) {
    log::set_level(log::Level::error);
    std::vector<std::uint64_t> seeds = {1, 2, 3, 4, std::random_device{}()};
    if (const char* given = std::getenv("TOUCHPOINT_SEED")) seeds = {std::strtoull(given, nullptr, 10)};
    int steps = 0;
    for (const std::uint64_t seed : seeds) {
        SCOPED_TRACE("TOUCHPOINT_SEED=" + std::to_string(seed));
        Lives run(seed);
        run.play();
        steps += run.steps();
        std::cout << "seed=" << seed << " steps=" << run.steps() << " events=" << run.events() << "\n";
        if (HasFailure()) break;
    }
    EXPECT_TRUE(HasFailure() || steps > 2'000 * static_cast<int>(seeds.size()));
}

}  // namespace
}  // namespace touchpoint::tests
