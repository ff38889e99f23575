#include "plugins/rate_limiting/rate_limiting.h"

#include <algorithm>
#include <charconv>

#include "base/decimal.h"
#include "base/log.h"
#include "plugin/header_names.h"
#include "plugin/services.h"
#include "plugins/rate_limiting/policy.h"
#include "plugins/rate_limiting/schema.h"

namespace gateway::plugins::rate_limiting {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::Step;

enum class LimitBy { consumer, credential, ip, service, header, path };

constexpr unsigned no_status = 0;
constexpr std::string_view no_id = "00000000-0000-0000-0000-000000000000";

using Digits = std::array<char, 24>;

// As Lua prints numbers: whole ones without ".0", others with up to 14 digits.
std::string_view print(Digits& out, double value) {
  char* const begin = out.data();
  char* const end = begin + out.size();
  // Nearly always whole, and then a tenth of the work.
  if (value >= 0 && value < 1e14 && static_cast<double>(static_cast<std::int64_t>(value)) == value) {
    const char* first = write_decimal(end, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    return {first, static_cast<std::size_t>(end - first)};
  }
  return {begin, static_cast<std::size_t>(std::to_chars(begin, end, value, std::chars_format::general, 14).ptr - begin)};
}

std::string_view number(http::Arena& arena, double value) { return print(*new (arena.allocate(sizeof(Digits), 1)) Digits, value); }

// What a client is told of its limits: names that the gateway does not know, numbers that need no check.
http::Header line(std::string_view name, std::string_view number = {}) { return {name, number, http::Name::other, false, true}; }

std::string text_of(const json& config, const char* name, const char* otherwise) {
  const auto found = config.find(name);
  return found != config.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

/// What one request is counted by.
struct Count {
  std::span<Counted> counted;  ///< by each limit; in the request's arena
  System::time_point now;
  Who who;
};

class RateLimiting final : public plugin::Plugin {
 public:
  RateLimiting(const entity::PluginConfig& row, const plugin::Services& services)
      : now_(services.now), policy_(make_policy(text_of(row.config, "policy", "local"), scope_of(row), services)) {
    const json& config = row.config;
    lines_.reserve(2 * periods.size() + 3);
    for (std::size_t i = 0; i < periods.size(); ++i) {
      const auto limit = config.find(std::string(periods[i].name));
      if (limit == config.end() || !limit->is_number()) continue;
      Digits digits;
      const std::string_view text = lines_.keep(print(digits, limit->get<double>()));
      limits_.push_back({static_cast<Period>(i), limit->get<double>(), text});
      lines_.add(line(periods[i].limit_header, text));
      lines_.add(line(periods[i].remaining_header));
    }
    for (const char* name : {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}) lines_.add(line(name));
    limit_by_ = limit_by_of(text_of(config, "limit_by", "consumer"));
    header_ = text_of(config, "header_name", "");
    path_ = text_of(config, "path", "");
    fault_tolerant_ = config.value("fault_tolerant", true);
    hide_headers_ = config.value("hide_client_headers", false);
    // These may be null; without a message the usual words for the status are sent.
    const auto code = config.find("error_code");
    if (code != config.end() && code->is_number()) error_code_ = status_of(row, code->get<double>());
    error_message_ = text_of(config, "error_message", "");
    if (text_of(config, "policy", "") == "redis") {
      log::warn("rate-limiting row {}: this build cannot count in Redis: requests {}", row.id.to_string(),
                fault_tolerant_ ? "pass uncounted, as fault_tolerant has it" : "are answered 500, since fault_tolerant is off");
    }
  }

  Step access(Exchange& exchange) const override {
    Count count = prepare(exchange);
    if (!policy_->count_now(count.who, count.now, count.counted)) return wait(exchange, count);
    return decide(exchange, count);
  }

 private:
  struct Limit {
    Period period;
    double limit;
    std::string_view text;  // of the limit, for the client
  };

  // Counters belong to what the row is bound to: a service's row counts over all its routes.
  static std::string scope_of(const entity::PluginConfig& row) {
    const auto text = [](const std::optional<Uuid>& id) { return id ? id->to_string() : std::string(no_id); };
    return text(row.route) + ":" + text(row.service);
  }

  // The schema takes any positive number, as Kong's does; one that is no status makes every refusal a 500.
  static unsigned status_of(const entity::PluginConfig& row, double code) {
    if (code >= 100 && code < 600) return static_cast<unsigned>(code);
    log::error("rate-limiting row {}: error_code {} is no status between 100 and 599: clients over their limits get 500", row.id.to_string(), code);
    return no_status;
  }

  static LimitBy limit_by_of(const std::string& name) {
    if (name == "credential") return LimitBy::credential;
    if (name == "ip") return LimitBy::ip;
    if (name == "service") return LimitBy::service;
    if (name == "header") return LimitBy::header;
    if (name == "path") return LimitBy::path;
    return LimitBy::consumer;
  }

  // What cannot be told otherwise is told by its address.
  Who identify(const Exchange& exchange) const {
    std::string_view found;
    switch (limit_by_) {
      case LimitBy::consumer:
        if (exchange.consumer) {
          if (!exchange.consumer->id_text.empty()) return {exchange.consumer->id_text, exchange.consumer->id_digest};
        } else if (exchange.credential) {
          found = exchange.credential->id_text;
        }
        break;
      case LimitBy::credential:
        if (exchange.credential) found = exchange.credential->id_text;
        break;
      case LimitBy::service:
        if (exchange.service != nullptr) found = exchange.service->id.write(static_cast<char*>(exchange.arena().allocate(Uuid::text_size, 1)));
        break;
      case LimitBy::header:
        if (const http::Header* header = plugin::find_header(exchange.request().headers, header_)) found = header->value;
        break;
      case LimitBy::path:
        if (exchange.request().path == path_) found = path_;
        break;
      case LimitBy::ip: break;
    }
    if (found.empty()) found = exchange.connection().client_ip;
    return {found, TableHash::of_process()(found)};
  }

  Count prepare(const Exchange& exchange) const {
    const System::time_point now = now_();
    auto* const counted = static_cast<Counted*>(exchange.arena().allocate(limits_.size() * sizeof(Counted), alignof(Counted)));
    Counted* next = counted;
    for (const Limit& limit : limits_) new (next++) Counted{limit.period, limit.limit, window_start(limit.period, now), 0};
    return {{counted, limits_.size()}, now, identify(exchange)};
  }

  Task<Flow> wait(Exchange& exchange, Count count) const {
    const Status counted = co_await policy_->count(count.who, count.counted);
    if (counted) co_return decide(exchange, count);
    log::error("failed to get usage: {}", counted.error().to_string());
    if (fault_tolerant_) co_return Flow::next();
    co_return Flow::error(500, "An unexpected error occurred");
  }

  Flow decide(Exchange& exchange, Count& count) const {
    const Counted* violated = nullptr;
    for (const Counted& each : count.counted) {
      if (each.exceeded()) violated = &each;
    }
    const std::int64_t reset = hide_headers_ ? 0 : tell(exchange, count, violated);
    if (violated == nullptr) return Flow::next();
    if (!hide_headers_) exchange.response_headers.set(line("Retry-After", number(exchange.arena(), static_cast<double>(reset))));
    if (error_code_ == no_status) return Flow::error(500, "An unexpected error occurred");
    return Flow::error(error_code_, error_message_);
  }

  // Headers for the client; returns the seconds until the tightest window ends.
  std::int64_t tell(Exchange& exchange, Count& count, const Counted* violated) const {
    // Nearly always nobody else has told the client anything yet.
    http::Headers& all = exchange.response_headers;
    http::Headers apart(exchange.arena());
    http::Headers& lines = all.empty() ? all : apart;
    lines.set_all(lines_);
    auto* digits = static_cast<Digits*>(exchange.arena().allocate((limits_.size() + 1) * sizeof(Digits), 1));
    std::size_t tightest = 0;
    double least = 0;
    for (std::size_t i = 0; i < limits_.size(); ++i) {
      const Counted& each = count.counted[i];
      const bool spent = violated == nullptr || &each == violated;
      const double remaining = std::max(0.0, each.remaining() - (spent ? 1 : 0));
      lines.begin()[2 * i + 1].value = print(*digits++, remaining);
      if (i == 0 || remaining <= least) {
        tightest = i;
        least = remaining;
      }
    }
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(count.now - count.counted[tightest].start);
    const std::int64_t reset = std::max<std::int64_t>(1, (facts(limits_[tightest].period).length - passed).count());
    http::Header* const of_tightest = lines.end() - 3;
    of_tightest[0].value = limits_[tightest].text;
    of_tightest[1].value = lines.begin()[2 * tightest + 1].value;
    of_tightest[2].value = print(*digits, static_cast<double>(reset));
    if (&lines != &all) all.set_all(lines);
    return reset;
  }

  std::function<System::time_point()> now_;
  std::unique_ptr<Policy> policy_;
  std::vector<Limit> limits_;
  http::Arena arena_;  // of the lines
  // What a client is told, without this request's numbers: two lines for each limit, then three for the tightest one.
  http::Headers lines_{arena_};
  LimitBy limit_by_ = LimitBy::consumer;
  std::string header_;
  std::string path_;
  std::string error_message_;
  unsigned error_code_ = 429;
  bool fault_tolerant_ = true;
  bool hide_headers_ = false;
};

}  // namespace

plugin::PluginType type() {
  plugin::PluginType type;
  type.name = "rate-limiting";
  type.priority = 910;
  type.phases = plugin::Phase::access;
  type.schema = schema();
  type.make = [](const entity::PluginConfig& row, const plugin::Services& services) -> Result<std::unique_ptr<plugin::Plugin>> {
    return std::unique_ptr<plugin::Plugin>(std::make_unique<RateLimiting>(row, services));
  };
  return type;
}

}  // namespace gateway::plugins::rate_limiting
