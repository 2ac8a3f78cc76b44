// bench_sealing: what encryption costs a profile. In one process and in turns: the whole read by alias and
// the opening of its sealed text alone; the whole write and the sealing alone.
//
//   bench_sealing --folder F [--profiles N] [--bytes B] [--repeat R]
//
// Prints one JSON object for each repetition, in microseconds a profile. A folder in memory: flushes are not
// what is measured.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "gateway/core/log.hpp"
#include "store/cache.hpp"
#include "store/keys.hpp"
#include "store/profiles.hpp"
#include "store/sealed_box.hpp"
#include "tests/bench/customers.hpp"

namespace {

using namespace touchpoint;
using Steady = std::chrono::steady_clock;

struct Options {
    std::filesystem::path folder;
    std::uint64_t profiles = 20'000;
    std::size_t bytes = 2048;
    int repeat = 5;
};

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "bench_sealing: %s\n", why.c_str());
    std::exit(1);
}

std::string key_of(const std::string& alias) {
    return "p1_" + store::keyed_hash("pseudonyms", alias).substr(0, 26);
}

store::ProfilePut customer(std::uint64_t number, std::uint64_t version, std::size_t bytes) {
    store::ProfilePut out;
    out.id = bench::id_of(number);
    out.version = version;
    for (const std::string& text :
         {bench::card_of(number), "email:customer" + std::to_string(number) + "@example.net"})
        out.aliases.push_back({key_of(text), text});
    out.json = '{' + bench::members_of(number, bytes) + '}';
    return out;
}

template <class Work>
double us_each(std::size_t times, Work work) {
    const auto began = Steady::now();
    for (std::size_t i = 0; i < times; ++i) work(i);
    return std::chrono::duration<double, std::micro>(Steady::now() - began).count() /
           static_cast<double>(times);
}

double write_all(store::Profiles& profiles, const Options& options, std::uint64_t version) {
    std::vector<store::ProfileChange> changes;
    double us = 0;
    for (std::uint64_t number = 0; number < options.profiles;) {
        changes.clear();
        while (changes.size() < store::Profiles::changes_max && number < options.profiles)
            changes.emplace_back(customer(number++, version, options.bytes));
        us += us_each(1, [&](std::size_t) {
            if (!profiles.apply(changes, {1'790'000'000'000})) give_up("profiles were not written");
        });
    }
    return us / static_cast<double>(options.profiles);
}

void run(const Options& options) {
    auto cache =
        store::Cache::open({.folder = options.folder / "cache", .profiles_bytes = options.profiles * 8192});
    if (!cache) give_up(cache.error().context);
    const store::SealedBox box(std::string(32, 'k'));
    store::Profiles profiles(**cache, box, std::string(32, 'n'), {.bytes_max = options.profiles * 8192});
    write_all(profiles, options, 1);
    std::vector<std::string> asked;
    std::mt19937_64 random(1);
    for (std::uint64_t i = 0; i < options.profiles; ++i)
        asked.push_back(key_of(bench::card_of(random() % options.profiles)));
    // As long as what a row of one of them holds sealed.
    const store::ProfilePut one = customer(7, 1, options.bytes);
    store::ProfileBody body;
    body.id = one.id;
    body.aliases = one.aliases;
    body.json = one.json;
    const std::string row = store::live_row(box, std::string(32, 'r'), {}, body);
    const std::string plain(row.size() - store::profile_head_bytes - 29, 'p');
    const std::string sealed = box.seal(plain, "context");
    std::size_t seen = 0;
    for (int i = 0; i < options.repeat; ++i) {
        const double read = us_each(asked.size(), [&](std::size_t at) {
            const auto look = profiles.by_alias(asked[at], {1'790'000'000'000});
            if (!look || look->kind != store::ProfileLook::Kind::found) give_up("a profile was not found");
        });
        const double open =
            us_each(asked.size(), [&](std::size_t) { seen += box.open(sealed, "context")->size(); });
        const double write = write_all(profiles, options, static_cast<std::uint64_t>(i) + 2);
        const double seal =
            us_each(asked.size(), [&](std::size_t) { seen += box.seal(plain, "context").size(); });
        std::printf(
            R"({"row_bytes":%zu,"read_us":%.2f,"open_us":%.2f,"write_us":%.2f,"seal_us":%.2f,"seen":%zu})"
            "\n",
            row.size(), read, open, write, seal, seen);
        std::fflush(stdout);
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("What encryption at rest costs a profile.");
    app.add_option("--folder", options.folder, "made and left to the caller")->required();
    app.add_option("--profiles", options.profiles)->check(CLI::PositiveNumber);
    app.add_option("--bytes", options.bytes, "of a profile, as JSON");
    app.add_option("--repeat", options.repeat);
    CLI11_PARSE(app, argc, argv);
    log::set_level(log::Level::error);
    run(options);
}
