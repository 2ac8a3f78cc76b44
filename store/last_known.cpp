#include "store/last_known.hpp"

#include <algorithm>
#include <fstream>
#include <string_view>
#include <system_error>

#include "gateway/core/json_text.hpp"

namespace touchpoint::store {
namespace {

std::filesystem::path path_of(const std::filesystem::path& folder) { return folder.string() + ".last-known"; }

std::string members(const std::string& epoch, const PerStream<Sequence>& last) {
    std::string text = "\"oldepoch\":" + json_string(epoch) + ",\"lastknown\":{";
    for (const Stream stream : all_streams) {
        if (stream != all_streams.front()) text += ',';
        text += json_string(name(stream)) + ":" + std::to_string(last[stream]);
    }
    return text + "}";
}

}  // namespace

// What stands in that file, or that nothing is known. It is not flushed, so a power cut can leave anything of
// it, and it goes out to the platform as JSON.
std::string last_known(const std::filesystem::path& folder) {
    std::string text;
    std::ifstream file(path_of(folder));
    std::getline(file, text);
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789\":{},";
    const bool whole = text.starts_with("\"oldepoch\":\"") && text.ends_with("}") &&
                       std::count(text.begin(), text.end(), '}') == 1 &&
                       text.find_first_not_of(letters) == std::string::npos;
    return whole ? text : std::string();
}

void write_last_known(const std::filesystem::path& folder, const std::string& epoch,
                      const PerStream<Sequence>& last) {
    // Small and not flushed: it only makes the message of a new epoch better.
    const std::filesystem::path path = path_of(folder);
    const std::filesystem::path fresh = path.string() + ".new";
    std::ofstream(fresh) << members(epoch, last) << "\n";
    std::error_code ignored;
    std::filesystem::rename(fresh, path, ignored);
}

}  // namespace touchpoint::store
