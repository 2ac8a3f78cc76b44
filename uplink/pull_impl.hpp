// Inside of Pull, for its own two files: pull_reads.cpp answers reads, pull.cpp everything else. Asio is
// included here, so nobody else includes this.
//
// Threads: loop, but for the jobs that are named so.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "store/event_reader.hpp"
#include "uplink/formats.hpp"
#include "uplink/pull.hpp"
#include "uplink/pull_fill.hpp"
#include "uplink/pull_places.hpp"
#include "uplink/pull_seats.hpp"

namespace touchpoint::uplink {

inline Refusal refusal(PullFault fault, std::string detail,
                       std::chrono::seconds retry_after = std::chrono::seconds(0)) {
    return {fault, std::move(detail), "", retry_after};
}
inline Refusal reader_busy() {
    return refusal(PullFault::busy, "too many readers wait; try again", std::chrono::seconds(1));
}

class Pull::Impl : public std::enable_shared_from_this<Pull::Impl> {
  public:
    Impl(std::string gateway_id, std::string store_id, Parts parts)
        : parts_(parts),
          origin_{std::move(gateway_id), std::move(store_id), parts.store.epoch()},
          ndjson_(origin_, Format::ndjson, {}, parts.name),
          batch_(origin_, Format::cloudevents_batch, {}, parts.name) {}

    std::uint64_t read(PullRead wanted, Done<PullBody> done);
    void abandon(std::uint64_t request);
    void acknowledge(const std::string& consumer, const std::string& cursor, const std::string& reader,
                     const Done<PullPicture>& done);
    void put(const std::string& consumer, std::optional<PerStream<bool>> streams, store::From from,
             const Done<PullPicture>& done);
    void erase(const std::string& consumer, const Done<std::monostate>& done);
    void seek(const std::string& consumer, PullPlace place, const std::string& reader, bool take_over,
              const Done<PullPicture>& done);
    void describe(std::optional<std::string> consumer, const Done<std::vector<PullPicture>>& done);
    void gaps(const GapsWanted& wanted, const Done<GapsPage>& done);
    void notify();
    void stop();
    const std::string& epoch() const { return origin_.epoch; }
    std::size_t requests() const { return requests_; }

  private:
    // A read that is not answered yet.
    struct Poll {
        Poll(boost::asio::io_context& loop, std::uint64_t number, PullRead what, Done<PullBody> whom)
            : id(number), wanted(std::move(what)), done(std::move(whom)), timer(loop) {}
        std::uint64_t id;
        PullRead wanted;
        Done<PullBody> done;
        boost::asio::steady_timer timer;  // its wait
        std::unique_ptr<store::EventReader> reader;
        PerStream<bool> streams;
        PerStream<Sequence> position;
        SteadyTime deadline;  // of its wait
        unsigned turn = 0;
        bool waits = false;            // for events
        std::optional<Refusal> ended;  // by somebody else
        bool abandoned = false;
    };
    using Started = std::shared_ptr<Poll>;  // of the requests here and of its own coroutine

    template <class T>
    void spawn(boost::asio::awaitable<Pulled<T>> work, Done<T> done);
    template <class T>
    bool admit(const Done<T>& done);

    boost::asio::awaitable<Pulled<PullBody>> serve(Started poll);
    boost::asio::awaitable<Pulled<PullBody>> look(Started poll);
    boost::asio::awaitable<std::optional<Refusal>> find_place(Started poll);
    boost::asio::awaitable<Pulled<PullPicture>> acknowledged(std::string consumer);
    boost::asio::awaitable<Pulled<std::monostate>> erased();
    boost::asio::awaitable<Pulled<PullPicture>> sought(std::string consumer, PullPlace place);
    boost::asio::awaitable<Pulled<std::vector<PullPicture>>> described(
        std::vector<store::ConsumerState> states);
    boost::asio::awaitable<Pulled<std::vector<PullPicture>>> pictures(
        std::vector<store::ConsumerState> states);
    boost::asio::awaitable<Pulled<GapsPage>> gap_page(GapsWanted wanted);
    boost::asio::awaitable<std::optional<Refusal>> durable();
    boost::asio::awaitable<Pulled<PullPicture>> picture(std::string consumer);

    Pulled<store::ConsumerState> pull_consumer(const std::string& name) const;
    std::optional<Refusal> begin_named(Poll& poll);
    std::optional<Refusal> apply(const std::string& consumer, const PerStream<bool>& streams,
                                 const std::string& cursor);
    void displace(const std::optional<std::uint64_t>& request);
    void end(const Started& poll, Refusal why);
    PerStream<std::uint64_t> waiting(const PerStream<bool>& streams,
                                     const PerStream<Sequence>& position) const;
    PerStream<Sequence> horizon() const;
    Extent extent() const;
    std::shared_ptr<Filling> empty_filling(const Poll& poll) const;
    PullBody answer(Poll& poll, Filling filling);

    // How long a seek may hold the place: it looks into the store and waits for a flush.
    static constexpr std::chrono::seconds seek_max{10};
    // How often one answer is read when persons are erased all the time.
    static constexpr unsigned looks_max = 3;

    const Parts parts_;
    const Origin origin_;
    const Formatter ndjson_;
    const Formatter batch_;
    PullSeats seats_;
    std::map<std::uint64_t, Started> polls_;
    std::uint64_t last_id_ = 0;
    std::uint64_t notified_ = 0;  // calls of notify(), so that none is missed between a look and its wait
    std::size_t requests_ = 0;
    bool stopping_ = false;
};

// Runs `work` and tells `done`; what is thrown ends the program.
template <class T>
void Pull::Impl::spawn(boost::asio::awaitable<Pulled<T>> work, Done<T> done) {
    ++requests_;
    boost::asio::co_spawn(parts_.loop, std::move(work),
                          [self = shared_from_this(), done = std::move(done)](
                              const std::exception_ptr& failure, Pulled<T> result) {
                              --self->requests_;
                              if (failure) std::rethrow_exception(failure);
                              done(std::move(result));
                          });
}

template <class T>
bool Pull::Impl::admit(const Done<T>& done) {
    if (stopping_) {
        done(refusal(PullFault::stopping, "the gateway is stopping; try again", std::chrono::seconds(5)));
        return false;
    }
    if (requests_ < requests_max) return true;
    done(
        refusal(PullFault::busy, "too many requests are being answered; try again", std::chrono::seconds(1)));
    return false;
}

}  // namespace touchpoint::uplink
