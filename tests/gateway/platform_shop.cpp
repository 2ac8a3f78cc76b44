#include "tests/gateway/platform_shop.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <sstream>

#include "tests/support/idle.hpp"
#include "tests/support/wait.hpp"

namespace touchpoint::tests {
namespace {

std::filesystem::path memory() {
    return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

Given given_in(const std::string& line) {
    const boost::json::value event = boost::json::parse(line);
    Given found;
    found.stream = event.at("stream").as_string().c_str();
    found.type = event.at("type").as_string().c_str();
    found.last = std::stoull(event.at("sequence").as_string().c_str());
    found.first = found.last;
    if (found.type == "store.system.gap.v1") {
        found.first = event.at("data").at("first").to_number<Sequence>();
        found.reason = event.at("data").at("reason").as_string().c_str();
    }
    return found;
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
}

void PrintTo(const Given& given, std::ostream* out) {
    *out << given.stream << ' ' << given.first << '-' << given.last << ' ' << given.type << ' '
         << given.reason;
}
Given one(const std::string& stream, Sequence sequence) {
    return {stream, sequence, sequence, "store.pos.sale.v1", ""};
}
Given gap(const std::string& stream, Sequence first, Sequence last, const std::string& reason) {
    return {stream, first, last, "store.system.gap.v1", reason};
}

PlatformShop::PlatformShop() : folder_(memory()) {
    cache_ = std::move(*store::Cache::open({.folder = folder_.path() / "cache", .bytes_max = 16u << 20}));
    options_.folder = folder_.path() / "events";
    options_.bytes_max = 64u << 20;
    options_.reserve_bytes = 16u << 20;
    options_.commit_interval = std::chrono::milliseconds(1);
    options_.boot_id = "boot-1";
}

PlatformShop::~PlatformShop() { close(); }

void PlatformShop::open() {
    auto opened = store::EventStore::open(options_, *cache_, clock_);
    ASSERT_TRUE(opened) << opened.error().context;
    store_ = std::move(*opened);
    loop_.on_loop([&] {
        pull_ = std::make_unique<uplink::Pull>("gw-s1", "s1",
                                               uplink::Pull::Parts{loop_.loop(), *store_, reader_, clock_});
        server_ = std::make_unique<gateway::HttpServer>(loop_.loop(), gateway::HttpLimits{},
                                                        gateway::platform_routes({*pull_}));
        port_ = server_->listen_tcp("127.0.0.1", 0).value();
    });
    store_->start(
        {"journal-1", "boot-1", 0},
        [this](store::HorizonNote) {
            boost::asio::post(loop_.loop(), [this] {
                if (pull_) pull_->notify();
            });
        },
        [](const Error& error) { ADD_FAILURE() << error.context; });
}

void PlatformShop::close() {
    if (!store_) return;
    loop_.on_loop([&] { pull_->stop(); });
    EXPECT_TRUE(answering(0));
    store_->stop();
    loop_.on_loop([&] { server_.reset(), pull_.reset(); });
    wait_until_idle(reader_);
    store_.reset();
}

bool PlatformShop::answering(std::size_t requests) {
    return wait_for([&] {
        std::size_t now = 0;
        loop_.on_loop([&] { now = pull_->requests(); });
        return now == requests;
    });
}

void PlatformShop::submit(Stream stream, int count, const std::string& type) {
    const Sequence before = store_->horizon(stream);
    store::Submission submission;
    for (int i = 0; i < count; ++i) {
        Event event;
        event.stream = stream;
        event.id = "t" + std::to_string(i);
        event.source = "/stores/s1/pos/t1";
        event.members = R"("id":")" + event.id + R"(","source":"/stores/s1/pos/t1","type":")" + type +
                        R"(","data":{"n":)" + std::to_string(i) + "}";
        event.urgent = i + 1 == count;
        submission.events.push_back(std::move(event));
    }
    ASSERT_TRUE(store_->submit(std::move(submission)));
    ASSERT_TRUE(wait_for([&] { return store_->horizon(stream) == before + static_cast<Sequence>(count); }));
}

void PlatformShop::record_gap(Stream stream, Sequence first, Sequence last, const std::string& consumer,
                              const std::string& reason) {
    store_->record_gap({stream, consumer, first, last, reason, "", clock_.utc(), {}});
}

HttpAnswer http_answer_of(const std::string& raw) {
    HttpAnswer answer;
    std::istringstream lines(raw.substr(0, raw.find("\r\n\r\n")));
    std::string line;
    std::getline(lines, line);
    if (line.size() > 12) answer.status = std::stoi(line.substr(9, 3));
    while (std::getline(lines, line)) {
        const std::size_t colon = std::min(line.find(':'), line.size());
        std::string name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        std::string value = line.substr(std::min(colon + 2, line.size()));
        if (!value.empty() && value.back() == '\r') value.pop_back();
        answer.headers[name] = value;
    }
    answer.body = body_of(raw);
    return answer;
}

HttpAnswer PlatformShop::ask(const std::string& method, const std::string& target, const std::string& body,
                             const Headers& headers) {
    std::string request = method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    HttpClient client = HttpClient::tcp(port_);
    client.send(request + "\r\n" + body);
    return answer_of(client.read_all());
}

HttpClient PlatformShop::begin(const std::string& target) {
    HttpClient client = HttpClient::tcp(port_);
    client.send("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return client;
}

std::vector<Given> PlatformShop::given(const HttpAnswer& answer) {
    std::vector<Given> all;
    std::istringstream lines(answer.body);
    for (std::string line; std::getline(lines, line);) all.push_back(given_in(line));
    return all;
}

}  // namespace touchpoint::tests
