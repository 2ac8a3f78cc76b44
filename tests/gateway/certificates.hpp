// Certificates made by the test itself: an authority, and what it signs.
#pragma once

#include <filesystem>
#include <string>

namespace touchpoint::tests {

// An authority in memory; its certificate in PEM.
class Authority {
  public:
    explicit Authority(const std::string& name);
    ~Authority();
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    const std::string& pem() const { return pem_; }
    // A certificate for 127.0.0.1 and localhost with its key: `{stem}.pem` and `{stem}.key` in `folder`.
    void issue(const std::filesystem::path& folder, const std::string& stem, const std::string& name,
               int valid_days = 30) const;

  private:
    struct Parts;
    Parts* parts_;
    std::string pem_;
};

}  // namespace touchpoint::tests
