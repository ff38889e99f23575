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
  const std::int64_t whole = value >= 0 && value < 1e14 ? static_cast<std::int64_t>(value) : -1;
  if (static_cast<double>(whole) == value) {
    const char* first = write_decimal(end, static_cast<std::uint64_t>(whole));
    return {first, static_cast<std::size_t>(end - first)};
  }
  return {begin, static_cast<std::size_t>(std::to_chars(begin, end, value, std::chars_format::general, 14).ptr - begin)};
}

std::string_view number(http::Arena& arena, double value) { return print(*new (arena.allocate(sizeof(Digits), 1)) Digits, value); }

// What a client is told of its limits: names that the gateway does not know, numbers that need no check.
http::Header told(std::string_view name, std::string_view number) { return {name, number, http::Name::other, false, true}; }

std::string text_of(const json& config, const char* name, const char* otherwise) {
  const auto found = config.find(name);
  return found != config.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

/// What one request is counted by.
struct Count {
  std::array<Counted, periods.size()> counted;
  std::size_t size = 0;
  System::time_point now;
  Who who;
  [[nodiscard]] std::span<Counted> all() noexcept { return {counted.data(), size}; }
};

class RateLimiting final : public plugin::Plugin {
 public:
  RateLimiting(const entity::PluginConfig& row, const plugin::Services& services)
      : now_(services.now), policy_(make_policy(text_of(row.config, "policy", "local"), scope_of(row), services)) {
    const json& config = row.config;
    for (std::size_t i = 0; i < periods.size(); ++i) {
      const auto limit = config.find(std::string(periods[i].name));
      if (limit == config.end() || !limit->is_number()) continue;
      Digits digits;
      limits_.push_back({static_cast<Period>(i), limit->get<double>(), std::string(print(digits, limit->get<double>()))});
    }
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
    if (!policy_->count_now(count.who, count.now, count.all())) return wait(exchange, count);
    return decide(exchange, count);
  }

 private:
  struct Limit {
    Period period;
    double limit;
    std::string text;  // of the limit, for the client
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
    Count count;
    count.now = now_();
    count.who = identify(exchange);
    for (const Limit& limit : limits_) count.counted[count.size++] = {limit.period, limit.limit, window_start(limit.period, count.now), 0};
    return count;
  }

  Task<Flow> wait(Exchange& exchange, Count count) const {
    const Status counted = co_await policy_->count(count.who, count.all());
    if (counted) co_return decide(exchange, count);
    log::error("failed to get usage: {}", counted.error().to_string());
    if (fault_tolerant_) co_return Flow::next();
    co_return Flow::error(500, "An unexpected error occurred");
  }

  Flow decide(Exchange& exchange, Count& count) const {
    const Counted* violated = nullptr;
    for (const Counted& each : count.all()) {
      if (each.exceeded()) violated = &each;
    }
    const std::int64_t reset = hide_headers_ ? 0 : tell(exchange, count, violated);
    if (violated == nullptr) return Flow::next();
    if (!hide_headers_) exchange.response_headers.set(told("Retry-After", number(exchange.arena(), static_cast<double>(reset))));
    if (error_code_ == no_status) return Flow::error(500, "An unexpected error occurred");
    return Flow::error(error_code_, error_message_);
  }

  // Headers for the client; returns the seconds until the tightest window ends.
  std::int64_t tell(Exchange& exchange, Count& count, const Counted* violated) const {
    // Memory for all of them in one piece, and behind them for the digits in them.
    const std::size_t lines = 2 * count.size + 3;
    void* const room = exchange.arena().allocate(lines * sizeof(http::Header) + (count.size + 1) * sizeof(Digits));
    auto* const headers = static_cast<http::Header*>(room);
    auto* digits = reinterpret_cast<Digits*>(headers + lines);
    http::Header* next = headers;
    const auto tell_of = [&next](std::string_view name, std::string_view number) { new (next++) http::Header(told(name, number)); };
    std::size_t tightest = 0;
    double least = 0;
    std::string_view least_text;
    for (std::size_t i = 0; i < count.size; ++i) {
      const Counted& each = count.counted[i];
      const bool spent = violated == nullptr || &each == violated;
      const double remaining = std::max(0.0, each.remaining() - (spent ? 1 : 0));
      const std::string_view text = print(*digits++, remaining);
      tell_of(facts(each.period).limit_header, limits_[i].text);
      tell_of(facts(each.period).remaining_header, text);
      if (i == 0 || remaining <= least) {
        tightest = i;
        least = remaining;
        least_text = text;
      }
    }
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(count.now - count.counted[tightest].start);
    const std::int64_t reset = std::max<std::int64_t>(1, (facts(limits_[tightest].period).length - passed).count());
    tell_of("RateLimit-Limit", limits_[tightest].text);
    tell_of("RateLimit-Remaining", least_text);
    tell_of("RateLimit-Reset", print(*digits, static_cast<double>(reset)));
    exchange.response_headers.set_all({headers, lines});
    return reset;
  }

  std::function<System::time_point()> now_;
  std::unique_ptr<Policy> policy_;
  std::vector<Limit> limits_;
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
