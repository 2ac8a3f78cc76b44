#include "gateway/profiles/profile_desk.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "gateway/core/log.hpp"
#include "gateway/profiles/picture_json.hpp"

namespace touchpoint::gateway {
namespace {

EventPurposes purposes_of(const config::ProfileSettings& settings) {
    EventPurposes purposes = default_event_purposes();
    for (const Stream stream : all_streams)
        if (const auto named = purpose_named(settings.event_purposes[stream])) purposes[stream] = *named;
    return purposes;
}

}  // namespace

ProfileDesk::ProfileDesk(const Parts& parts, const std::string& gateway_id,
                         const config::ProfileSettings& settings)
    : loop_(parts.loop),
      clock_(parts.clock),
      store_(parts.store),
      pseudonymiser_(parts.keys.pseudonym, parts.keys.pseudonym_id),
      cache_(parts.cache),
      profiles_(parts.cache, parts.box, parts.keys.profiles, {.bytes_max = settings.bytes}),
      picture_rows_(parts.cache, parts.box, {.bytes_max = settings.live_bytes}),
      pictures_(parts.store, picture_rows_, parts.clock, parts.keys.profiles),
      persons_({profiles_, pictures_, parts.store.epoch()},
               {gateway_id, settings.unknown_consent_granted, purposes_of(settings)}),
      reads_(
          {profiles_, persons_, pseudonymiser_, parts.box, parts.clock},
          {settings.stale, settings.unknown_consent_granted, settings.wanted_max, settings.misses_per_min}),
      requests_(
          {reads_, followers_, parts.clock}, settings.answer_within, [this] { return late(); },
          parts.publish),
      answer_within_(settings.answer_within),
      beat_(parts.loop),
      joined_(parts.joined),
      parts_{
          parts.loop, writer_, profiles_, pseudonymiser_, parts.clock, pace_,
          [this] {
              std::uint64_t events = 0;
              for (const Stream stream : all_streams) events += store_.horizon(stream);
              return events;
          },
          [this](const std::string& id, const std::vector<std::string>& keys) { reads_.arrived(id, keys); },
          [this](const std::vector<std::string>& ids) {
              for (const std::string& id : ids) persons_.came(id, clock_.utc());
              store_.note_persons_changed();  // his consents may be others
          },
          [forgotten = parts.forgotten](const std::string& key) {
              if (forgotten) forgotten(key);
          },
          [this](const std::vector<std::string>& keys) { return forget(keys); },
          [this] { return pictures_.checkpoint(); }, parts.erase_events,
          [this](std::vector<std::string> keys) -> Result<std::vector<std::string>> {
              if (const auto read = pictures_.follow(); !read) return read.error();
              return pictures_.all_names(std::move(keys));
          },
          // Written down before the platform has its answer: the log would join them anew.
          [this](const std::vector<std::string>& keys) { kept(pictures_.join(keys)); },
          [this](const std::vector<std::string>& ones, const std::vector<std::string>& others) {
              kept(pictures_.part(ones, others));
          },
          [this](const std::vector<std::string>& keys) { changed(keys); }, &settings.mappings,
          [this, gateway_id](std::string_view document) {
              PerStream<Sequence> given;
              for (const Stream stream : all_streams) given[stream] = store_.horizon(stream);
              return seen_too_far(document, gateway_id, store_.epoch(), given);
          }},
      feed_options_(settings.feed) {
    // A kill between an erasure and what was written of it after that.
    std::vector<std::string> erased;
    for (const std::string& name : pictures_.names_to_tell()) {
        const auto look = profiles_.by_alias(name, clock_.utc());
        if (look && look->kind == store::ProfileLook::Kind::erased) erased.push_back(name);
    }
    pictures_.forget_links(erased);
}

void ProfileDesk::start_feed(const std::string& gateway_id, const std::function<std::uint64_t()>& random,
                             const std::function<void(std::exception_ptr)>& on_end) {
    if (!feed_options_) return;
    const uplink::ProfileMapping* mapping = nullptr;
    for (const uplink::ProfileMapping& one : *parts_.mappings)
        if (one.name == feed_options_->mapping) mapping = &one;
    const auto write = [this](std::span<const std::string_view> lines, UtcTime not_before) {
        return write_feed_lines(parts_, lines, not_before);
    };
    feed_.emplace(
        *feed_options_, gateway_id,
        uplink::ProfileFeed::Parts{parts_.loop, clock_, writer_, cache_, profiles_, mapping, write, random});
    feed_->start(on_end);
    if (feed_options_->wanted_url.empty()) return;
    const bool raw = feed_options_->connection.identifiers == uplink::Identifiers::raw;
    wanted_.emplace(*feed_options_, gateway_id,
                    uplink::WantedFetch::Parts{parts_.loop, clock_, writer_, mapping, write, random,
                                               [this, raw](std::size_t max) {
                                                   return reads_.wanted().to_ask(max, raw, clock_.steady());
                                               },
                                               [this] { reads_.wanted().not_answered(); }});
    wanted_->start(on_end);
}

void ProfileDesk::retry_feed() {
    if (feed_) feed_->retry_now();
    if (wanted_) wanted_->retry_now();
}

void ProfileDesk::stop_feed() {
    if (feed_) feed_->stop();
    if (wanted_) wanted_->stop();
}

bool ProfileDesk::feed_ended() const { return (!feed_ || feed_->ended()) && (!wanted_ || wanted_->ended()); }

ProfilePicture ProfileDesk::picture() const {
    ProfilePicture out{
        profiles_.stats(),
        reads_.stats(),
        {followers_.size(), followers_.told(), lag_ ? lag_->longest() : std::chrono::milliseconds(0)},
        {pictures_.behind(), picture_trouble_},
        {}};
    if (feed_) out.feeds.push_back(feed_->stats());
    if (wanted_) out.feeds.push_back(wanted_->stats());
    return out;
}

uplink::NamePerson ProfileDesk::names() {
    return [this](std::string_view pseudonym, Stream stream) {
        Persons::Name name = persons_.leaving(std::string(pseudonym), stream, clock_.utc());
        return uplink::PersonName{std::move(name.subject), name.raw, std::move(name.other)};
    };
}

void ProfileDesk::kept(const Result<void>& written) {
    if (!written)
        log::error("gateway", "a link between customers is not written down",
                   {{"why", written.error().context}});
}

std::vector<std::vector<std::string>> ProfileDesk::forget(const std::vector<std::string>& keys) {
    std::vector<std::vector<std::string>> links;
    for (const std::string& key : keys) {
        std::vector<std::string> link = pictures_.joined_with(key);
        if (link.size() > 1 && (links.empty() || links.back() != link)) links.push_back(std::move(link));
    }
    pictures_.forget(keys);
    forgotten_ = true;
    return links;
}

void ProfileDesk::committed() {
    if (following_) return;
    following_ = live_.post([this] { follow_job(); });
}

// On the live worker, one job after the other. Loop hears of what it found before the flush of a checkpoint.
void ProfileDesk::follow_job() {
    const auto read = pictures_.catch_up(followed_at_once);
    const SteadyTime now = clock_.steady();
    boost::asio::post(loop_, [this, touched = pictures_.take_changed()] { heard(touched); });
    Result<void> written;
    // What was forgotten is off the disk already, and may not come back with a picture from memory.
    if (forgotten_.exchange(false) || pictures_.dirty() >= LivePictures::dirty_max ||
        now - checkpointed_ >= checkpoint_every) {
        checkpointed_ = now;
        written = pictures_.checkpoint();
    }
    const bool trouble = !read || !written;
    if (trouble && !picture_trouble_)
        log::error("gateway", "live pictures of customers are not kept",
                   {{"why", !read ? read.error().context : written.error().context}});
    picture_trouble_ = trouble;
    const bool more = read && !*read;
    boost::asio::post(loop_, [this, more] {
        following_ = false;
        if (more) committed();
    });
}

void ProfileDesk::heard(const std::vector<std::string>& touched) {
    // Taken here and not by the job: whom loop erases meanwhile nobody is told of.
    for (const Joined& one : pictures_.take_joined())
        if (joined_) joined_(one);
    if (followers_.size() == 0) return;
    if (touched.size() >= changes_looked_at_max) return followers_.all_changed(clock_.steady());
    // A picture changes what is read under each name that it was joined with.
    std::vector<std::string> keys;
    for (const std::string& name : touched)
        for (std::string& one : pictures_.joined_with(name)) keys.push_back(std::move(one));
    changed(keys);
}

std::vector<Route> ProfileDesk::local_routes() {
    return profile_read_routes({reads_, followers_, clock_, [this] { return late(); }});
}

std::vector<Route> ProfileDesk::platform_routes() {
    std::vector<Route> routes = {wanted_route(reads_)};
    for (Route& route : profile_read_routes({reads_, followers_, clock_})) routes.push_back(std::move(route));
    for (Route& route : profile_routes(parts_)) routes.push_back(std::move(route));
    return routes;
}

void ProfileDesk::beat() {
    beat_.expires_after(lag_->every());
    beat_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        lag_->beat(clock_.steady());
        beat();
    });
}

void ProfileDesk::tick(SteadyTime now) {
    committed();
    if (!lag_) {
        lag_.emplace(answer_within_, now);
        beat();
    }
    followers_.tick(now);
    if (now - touches_written_ < write_touches_every || profiles_.touches() == 0) return;
    touches_written_ = now;
    writer_.post([this] {
        if (const auto written = profiles_.write_touches(); !written)
            log::warning("store", "not written down which profiles were read",
                         {{"why", written.error().context}});
    });
}

void ProfileDesk::stop() {
    beat_.cancel();
    // What is lost here is soon read again.
    writer_.post([this] { (void)profiles_.write_touches(); });
    live_.post([this] { (void)pictures_.checkpoint(); });
}

}  // namespace touchpoint::gateway
