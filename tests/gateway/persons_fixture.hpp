// A shop whose customers are read by a till.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "tests/gateway/profile_shop.hpp"

namespace touchpoint::tests {

inline const gateway::Roles till = {gateway::Role::device};
inline constexpr const char* view = "store.kiosk.view.v1";

class PersonsTest : public ProfileShop {
  protected:
    std::string read(const std::string& name, const std::string& purpose = "personalisation") {
        return ask_as(till, "/v1/profiles/" + name + "?purpose=" + purpose, "pos/t1").body;
    }
    void put(const std::string& id, int version, const std::string& alias, const std::string& more = "") {
        const auto answer = ask(
            "PUT", "/v1/profiles/" + id,
            R"({"version":)" + std::to_string(version) + R"(,"aliases":[")" + alias +
                R"("],"consents":{"personalisation":{"state":"granted"},"analytics":{"state":"granted"}})" +
                more + "}");
        ASSERT_LT(answer.status, 300u) << answer.body;
    }
    // `consent`: what it says of personalisation, {"state":..} without the braces. Each is a newer version.
    void put_saying(const std::string& consent, const std::string& id, const std::string& alias) {
        const auto answer =
            ask("PUT", "/v1/profiles/" + id,
                R"({"version":)" + std::to_string(++put_version_) + R"(,"aliases":[")" + alias +
                    R"("],"traits":{"tier":"gold"},"consents":{"personalisation":{)" + consent + "}}}");
        ASSERT_LT(answer.status, 300u) << answer.body;
    }
    void viewed(const std::string& customer, const std::string& item, const std::string& session = "") {
        told(Stream::interactions, view, customer, session, R"({"item":")" + item + "\"}");
    }
    int put_version_ = 10;
    gateway::Persons::Name leaving(const std::string& customer, Stream stream) {
        return persons_->leaving(names_.pseudonym(devices::normalise(customer)), stream, clock_.utc());
    }
};

}  // namespace touchpoint::tests
