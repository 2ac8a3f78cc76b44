// What devices may send and what becomes of it: tests/fixtures/devices/{accepted,rejected}, one case a file.
#include "devices/decode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "devices/json_slice.hpp"
#include "tests/support/process.hpp"

namespace touchpoint::devices {
namespace {

namespace fs = std::filesystem;
using testing::SizeIs;

std::string text(std::string_view object, std::string_view name) {
    const auto value = json_find(json_members(object), name);
    if (!value) return {};
    return is_string(*value) ? json_unescape(*value) : std::string(*value);
}

store::Incoming message_of(const std::string& fixture) {
    store::Incoming message;
    message.topic = text(fixture, "topic");
    message.payload = text(fixture, "payload");
    message.content_type = text(fixture, "content_type");
    if (const auto properties = json_find(json_members(fixture), "properties"))
        for (const JsonMember& member : json_members(*properties))
            message.user_properties.emplace_back(json_unescape(member.key), json_unescape(member.value));
    return message;
}

void expect_report(const Report& report, std::string_view expected) {
    EXPECT_EQ(report.data, text(expected, "data"));
    EXPECT_EQ(report.id, text(expected, "id"));
    EXPECT_EQ(report.time ? std::to_string(report.time->ms) : "", text(expected, "time_ms"));
    EXPECT_EQ(report.customer, text(expected, "customer"));
    EXPECT_EQ(report.session, text(expected, "session"));
    EXPECT_EQ(report.type, text(expected, "ce_type"));
    EXPECT_EQ(report.source_path, text(expected, "source_path"));
    EXPECT_EQ(report.subject, text(expected, "subject"));
    EXPECT_EQ(report.datacontenttype, text(expected, "datacontenttype"));
    EXPECT_EQ(report.dataschema, text(expected, "dataschema"));
    EXPECT_EQ(report.base64 ? "true" : "", text(expected, "base64"));
    std::string extensions;
    for (const auto& [name, value] : report.extensions)
        extensions += (extensions.empty() ? "" : " ") + name + '=' + value;
    EXPECT_EQ(extensions, text(expected, "extensions"));
}

void expect_rejection(const Rejection& rejection, const store::Incoming& message, std::string_view expected) {
    EXPECT_EQ(slug(rejection.type), text(expected, "type")) << rejection.detail;
    EXPECT_EQ(rejection.pointer, text(expected, "pointer"));
    EXPECT_EQ(rejection.id, text(expected, "id"));
    const std::string raw = text(expected, "raw");
    if (!raw.empty()) {
        EXPECT_EQ(rejection.raw, raw);
    }
    EXPECT_NE(message.payload.find(rejection.raw), std::string::npos);
    EXPECT_FALSE(rejection.detail.empty());
    EXPECT_FALSE(validate_json(rejected_payload(rejection)));
}

std::vector<fs::path> fixtures(const char* folder) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(fs::path(SOURCE_DIR) / "tests/fixtures/devices" / folder))
        paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

void run(const fs::path& path) {
    SCOPED_TRACE(path.filename().string());
    const std::string fixture = tests::read_file(path);
    ASSERT_FALSE(validate_json(fixture));
    const store::Incoming message = message_of(fixture);
    const Decoded decoded = decode(message, {"s1", 262'144, 10'000});
    const auto expected = json_items(*json_find(json_members(fixture), "expect"), 100);
    ASSERT_THAT(decoded.items, SizeIs(expected.size()));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        SCOPED_TRACE(i);
        if (const auto* rejection = std::get_if<Rejection>(&decoded.items[i])) {
            expect_rejection(*rejection, message, expected[i]);
        } else {
            EXPECT_EQ(text(expected[i], "type"), "") << "was accepted";
            expect_report(std::get<Report>(decoded.items[i]), expected[i]);
        }
    }
}

TEST(DecodeTest, AcceptedMessagesBecomeWhatTheirFixturesSay) {
    const auto paths = fixtures("accepted");
    ASSERT_GE(paths.size(), 25u);
    for (const fs::path& path : paths) run(path);
}

TEST(DecodeTest, RejectedMessagesAreToldWhyAndWhere) {
    const auto paths = fixtures("rejected");
    ASSERT_GE(paths.size(), 35u);
    for (const fs::path& path : paths) run(path);
}

store::Incoming event(std::string payload) {
    store::Incoming message;
    message.topic = "touchpoint/v1/kiosk/k7/event/search";
    message.payload = std::move(payload);
    return message;
}

Problem problem_of(const store::Incoming& message, const DecodeOptions& options) {
    const Decoded decoded = decode(message, options);
    EXPECT_THAT(decoded.items, SizeIs(1));
    return std::get<Rejection>(decoded.items.at(0)).type;
}

TEST(DecodeTest, BytesThatAreNotUtf8AreRefusedWhereverTheyStand) {
    EXPECT_EQ(problem_of(event("{\"a\":\"\xFF\"}"), {}), Problem::invalid_utf8);
    store::Incoming message = event("{}");
    message.user_properties = {{"customer", "card:\xFF"}};
    EXPECT_EQ(problem_of(message, {}), Problem::invalid_utf8);
    message.user_properties.clear();
    message.content_type = "\xFF";
    EXPECT_EQ(problem_of(message, {}), Problem::invalid_utf8);
}

TEST(DecodeTest, SizesHaveBounds) {
    EXPECT_EQ(problem_of(event("{\"a\":\"" + std::string(100, 'x') + "\"}"), {"s1", 100, 10}),
              Problem::too_large);
    EXPECT_EQ(problem_of(event("[{},{},{}]"), {"s1", 100, 2}), Problem::too_many_items);
    store::Incoming cut_short = event("{}");  // what is left may look whole
    cut_short.left_out_bytes = 1;
    EXPECT_EQ(problem_of(cut_short, {}), Problem::too_large);
    EXPECT_THAT(decode(event("[{},{}]"), {"s1", 100, 2}).items, SizeIs(2));
}

// Whatever the bytes: it returns, with at least one item where there was a payload.
TEST(DecodeTest, BrokenCopiesOfGoodMessagesNeverEndTheProcess) {
    std::mt19937 random(7);
    for (const char* folder : {"accepted", "rejected"}) {
        for (const fs::path& path : fixtures(folder)) {
            const store::Incoming good = message_of(tests::read_file(path));
            for (int round = 0; round < 40; ++round) {
                store::Incoming broken = good;
                for (int change = 0; change < 3 && !broken.payload.empty(); ++change) {
                    const std::size_t at = random() % broken.payload.size();
                    switch (random() % 3) {
                        case 0:
                            broken.payload[at] = static_cast<char>(random());
                            break;
                        case 1:
                            broken.payload.erase(at, random() % 8);
                            break;
                        default:
                            broken.payload.insert(at, 1, "{}[]\",:\\0"[random() % 9]);
                    }
                }
                const Decoded decoded = decode(broken, {"s1", 262'144, 10'000});
                for (const Item& item : decoded.items) {
                    const auto* report = std::get_if<Report>(&item);
                    if (report == nullptr || report->data.empty()) continue;
                    ASSERT_FALSE(validate_json(report->data)) << report->data;
                }
            }
        }
    }
}

}  // namespace
}  // namespace touchpoint::devices
