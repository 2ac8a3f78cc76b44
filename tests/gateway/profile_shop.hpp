// A real cache and HTTP server over it, whom a platform and touchpoints ask over sockets.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/http_server.hpp"
#include "gateway/profiles/profile_read_routes.hpp"
#include "gateway/profiles/profile_reads.hpp"
#include "gateway/profiles/profile_routes.hpp"
#include "store/cache.hpp"
#include "store/event_store.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "store/worker.hpp"
#include "tests/gateway/http_client.hpp"
#include "tests/gateway/loop_thread.hpp"
#include "tests/gateway/platform_shop.hpp"
#include "tests/support/temp_folder.hpp"

namespace touchpoint::tests {

class ProfileShop : public testing::Test {
  protected:
    void SetUp() override { open(); }
    void TearDown() override { close(); }

    void open() {
        cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache",
                                                .bytes_max = 16u << 20,
                                                .profiles_bytes = profile_options_.bytes_max}));
        profiles_.emplace(*cache_, box_, store::keyed_hash("box", "profiles"), profile_options_);
        store::EventStore::Options store_options;
        store_options.folder = folder_.path() / "events";
        store_options.bytes_max = 64u << 20;
        store_options.reserve_bytes = 16u << 20;
        store_options.commit_interval = std::chrono::milliseconds(1);
        store_options.boot_id = "boot-1";
        store_ = std::move(*store::EventStore::open(std::move(store_options), *cache_, clock_));
        store_->start({"journal-1", "boot-1", 0}, {}, [](const Error&) {});
        picture_rows_.emplace(*cache_, box_, store::Pictures::Options{});
        pictures_.emplace(*store_, *picture_rows_, clock_, std::string(32, 's'));
        persons_.emplace(gateway::Persons::Parts{*profiles_, *pictures_, store_->epoch()}, person_options_);
        writer_ = std::make_unique<store::Worker>("profiles");
        loop_.on_loop([&] {
            reads_.emplace(gateway::ProfileReads::Parts{*profiles_, *persons_, names_, box_, clock_},
                           options_);
            followers_.emplace(*reads_);
            const gateway::ProfileParts parts{
                loop_.loop(),
                *writer_,
                *profiles_,
                names_,
                clock_,
                pace_,
                [this] { return store_->horizon(Stream::sales); },
                [this](const std::string& id, const std::vector<std::string>& keys) {
                    reads_->arrived(id, keys);
                },
                [this](const std::vector<std::string>& ids) {
                    for (const std::string& id : ids) persons_->came(id, clock_.utc());
                },
                [this](const std::string& key) { forgotten_.push_back(key); },
                [this](const std::vector<std::string>& keys) {
                    std::vector<std::vector<std::string>> links;
                    for (const std::string& key : keys) links.push_back(pictures_->joined_with(key));
                    pictures_->forget(keys);
                    return links;
                },
                [this]() -> Result<void> {
                    if (!picture_rows_written_) return picture_rows_written_;
                    return pictures_->checkpoint();
                },
                [this](std::vector<std::string> keys, std::function<void(Result<void>)> done) {
                    if (on_erase_events_) on_erase_events_();
                    erased_.insert(erased_.end(), keys.begin(), keys.end());
                    done(events_erased_);
                },
                [this](std::vector<std::string> keys) -> Result<std::vector<std::string>> {
                    if (!log_read_) return log_read_.error();
                    if (const auto read = pictures_->follow(); !read) return read.error();
                    return pictures_->all_names(std::move(keys));
                },
                [this](const std::vector<std::string>& keys) { EXPECT_TRUE(pictures_->join(keys)); },
                [this](const std::vector<std::string>& ones, const std::vector<std::string>& others) {
                    EXPECT_TRUE(pictures_->part(ones, others));
                },
                [this](const std::vector<std::string>& keys) { followers_->changed(keys, clock_.steady()); },
                &mappings_,
                too_far_};
            routes_ = gateway::profile_routes(parts);
            routes_.push_back(gateway::wanted_route(*reads_));
            for (gateway::Route& route : gateway::profile_read_routes(
                     {*reads_, *followers_, clock_, [this] { return late_.load(); }}))
                routes_.push_back(std::move(route));
            server_ = std::make_unique<gateway::HttpServer>(loop_.loop(), limits_, routes_);
            port_ = server_->listen_tcp("127.0.0.1", 0).value();
        });
    }
    void close() {
        loop_.on_loop([&] { server_.reset(); });
        writer_.reset();
        loop_.on_loop([&] {
            routes_.clear();
            followers_.reset();
            reads_.reset();
        });
        persons_.reset();
        pictures_.reset();
        picture_rows_.reset();
        store_.reset();
        profiles_.reset();
        cache_.reset();
    }

    // Over a socket, as somebody with every role.
    HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = "",
                   const std::string& fields = "") {
        HttpClient client = HttpClient::tcp(port_);
        client.send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields +
                    "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        return http_answer_of(client.read_all());
    }

    // As somebody with one role: the door would have put it there.
    gateway::HttpResponse ask_as(gateway::Roles roles, const std::string& target,
                                 const std::string& device = "", const std::string& body = "") {
        gateway::HttpRequest request;
        request.method = body.empty() ? "GET" : "POST";
        request.peer = "192.0.2.7:4711";
        request.body = body;
        EXPECT_TRUE(gateway::parse_target(target, request));
        request.caller.roles = roles;
        request.caller.device = device;
        std::promise<gateway::HttpResponse> answer;
        loop_.on_loop([&] {
            gateway::HttpResponse refusal;
            const gateway::Route* route = gateway::find_route(routes_, request, refusal);
            if (route == nullptr) return answer.set_value(refusal);
            EXPECT_TRUE(route->roles.any_of(roles)) << target;
            route->handler(request, [&](gateway::HttpResponse given) { answer.set_value(std::move(given)); });
        });
        return answer.get_future().get();
    }

    // What a device has told, durable when this returns. `customer` and `session` may be empty.
    void told(Stream stream, const std::string& type, const std::string& customer, const std::string& session,
              const std::string& data, const std::string& also = "") {
        Event event;
        event.stream = stream;
        event.id = std::to_string(++told_);
        event.source = "/stores/s1/kiosk/k7";
        event.members = "\"id\":\"" + event.id + "\",\"source\":\"" + event.source + "\",\"type\":\"" + type +
                        "\",\"time\":\"" + to_rfc3339(told_at_.value_or(clock_.utc())) + "\"";
        const auto pseudonym = [this](const std::string& text) {
            return "pseudonym/" + names_.pseudonym(devices::normalise(text));
        };
        if (!customer.empty()) event.members += ",\"subject\":\"" + pseudonym(customer) + "\"";
        if (!also.empty()) event.members += ",\"sameas\":\"" + pseudonym(also) + "\"";
        if (!session.empty()) event.members += ",\"session\":\"" + session + "\"";
        event.members += ",\"data\":" + data;
        store::Submission submission;
        submission.events.push_back(std::move(event));
        ASSERT_TRUE(store_->submit(std::move(submission)));
        std::promise<bool> durable;
        store_->when_durable([&](const Result<void>& result) { durable.set_value(result.has_value()); });
        ASSERT_TRUE(durable.get_future().get());
    }
    // Views of one customer, together.
    void told_many(std::uint64_t count, const std::string& customer) {
        const std::string subject = "pseudonym/" + names_.pseudonym(devices::normalise(customer));
        store::Submission submission;
        for (std::uint64_t i = 0; i < count; ++i) {
            Event event;
            event.stream = Stream::interactions;
            event.id = std::to_string(++told_);
            event.source = "/stores/s1/kiosk/k7";
            event.members = "\"id\":\"" + event.id + "\",\"source\":\"" + event.source +
                            "\",\"type\":\"store.kiosk.view.v1\",\"subject\":\"" + subject + "\",\"data\":{}";
            submission.events.push_back(std::move(event));
        }
        ASSERT_TRUE(store_->submit(std::move(submission)));
        std::promise<bool> durable;
        store_->when_durable([&](const Result<void>& result) { durable.set_value(result.has_value()); });
        ASSERT_TRUE(durable.get_future().get());
    }
    Sequence last(Stream stream) const { return store_->horizon(stream); }

    const TempFolder folder_{std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"};
    ManualClock clock_;
    const store::SealedBox box_{std::string(32, 'b')};
    const devices::Pseudonymiser names_{std::string(32, 'k'), "p1"};
    store::Profiles::Options profile_options_{.bytes_max = 4u << 20};
    gateway::ProfileReads::Options options_;
    gateway::HttpLimits limits_;
    std::unique_ptr<store::Cache> cache_;
    std::optional<store::Profiles> profiles_;
    gateway::Persons::Options person_options_{.gateway_id = "gw-1"};
    std::unique_ptr<store::EventStore> store_;
    std::optional<store::Pictures> picture_rows_;
    std::optional<gateway::LivePictures> pictures_;
    std::optional<gateway::Persons> persons_;
    LoopThread loop_;
    gateway::LoadPace pace_;
    std::unique_ptr<store::Worker> writer_;
    std::optional<gateway::ProfileReads> reads_;
    std::optional<gateway::ProfileFollowers> followers_;
    std::atomic<bool> late_{false};
    std::vector<std::string> forgotten_;
    // Of the events' erasure, which comes first: whom, how it ends, and what happens meanwhile.
    std::vector<std::string> erased_;
    Result<void> events_erased_;
    // And what stands before and after it.
    Result<void> log_read_;
    Result<void> picture_rows_written_;
    std::function<void()> on_erase_events_;
    std::vector<uplink::ProfileMapping> mappings_;
    std::function<bool(std::string_view)> too_far_;
    std::vector<gateway::Route> routes_;
    std::unique_ptr<gateway::HttpServer> server_;
    int port_ = 0;
    int told_ = 0;
    std::optional<UtcTime> told_at_;  // else now
};

}  // namespace touchpoint::tests
