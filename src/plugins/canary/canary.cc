#include "plugins/canary/canary.h"

#include <algorithm>

#include "base/log.h"
#include "plugin/header_names.h"
#include "plugin/services.h"
#include "plugins/canary/schema.h"
#include "plugins/canary/share.h"
#include "upstream/balancing/random.h"

namespace gateway::plugins::canary {
namespace {

using nlohmann::json;
using plugin::Exchange;
using plugin::Flow;
using plugin::Step;
using Names = std::vector<std::string>;

std::string text_of(const json& config, const char* name) {
  const auto found = config.find(name);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// What all kinds have in common: where requests move to, and the header with which clients choose.
class Canary : public plugin::Plugin {
 public:
  explicit Canary(const json& config) : chosen_by_(text_of(config, "canary_by_header_name")) {
    there_.host = text_of(config, "upstream_host");
    if (const auto port = config.find("upstream_port"); port != config.end() && port->is_number()) there_.port = port->get<std::uint16_t>();
    there_.path = text_of(config, "upstream_uri");
    chosen_ = there_;
    there_.only_when_healthy = config.value("upstream_fallback", false);
  }

  Step access(Exchange& exchange) const final {
    if (!chosen_by_.empty()) {
      const http::Header* wish = plugin::find_header(exchange.request().headers, chosen_by_);
      if (wish != nullptr && wish->value == "never") return Flow::next();
      // Whoever asks for the canary gets it, well or not.
      if (wish != nullptr && wish->value == "always") return move(exchange, chosen_);
    }
    return decide(exchange);
  }

 protected:
  virtual Step decide(Exchange& exchange) const = 0;
  Flow move_if(bool moves, Exchange& exchange) const { return moves ? move(exchange, there_) : Flow::next(); }

 private:
  std::string_view detours_to() const noexcept override { return there_.host; }

  static Flow move(Exchange& exchange, const plugin::Detour& there) {
    exchange.set_upstream(there);
    return Flow::next();
  }

  plugin::Detour there_;
  plugin::Detour chosen_;
  std::string chosen_by_;
};

enum class By { consumer, ip, header, chance };

class ByShare final : public Canary {
 public:
  ByShare(const json& config, const plugin::Services& services)
      : Canary(config), now_(services.now), share_(config, services.now()), header_(text_of(config, "hash_header")) {
    const std::string hash = text_of(config, "hash");
    by_ = hash == "ip" ? By::ip : hash == "none" ? By::chance : hash == "header" ? By::header : By::consumer;
  }

 private:
  Step decide(Exchange& exchange) const override {
    const std::uint32_t moved = share_.fixed() ? share_.moved({}) : share_.moved(now_());
    if (moved == 0 || moved == share_.parts()) return move_if(moved != 0, exchange);
    const std::string_view value = identity(exchange);
    const std::uint32_t part = value.empty() ? upstream::random_below(share_.parts()) : part_of(value, share_.parts());
    return move_if(part < moved, exchange);
  }

  // Who cannot be told by the header is told by the consumer, else by the address, else not at all.
  std::string_view identity(const Exchange& exchange) const {
    if (by_ == By::chance) return {};
    if (by_ == By::header) {
      const http::Header* header = plugin::find_header(exchange.request().headers, header_);
      if (header != nullptr && !header->value.empty()) return header->value;
    }
    if (by_ != By::ip) {
      if (exchange.consumer) return exchange.consumer->id_text;
      if (exchange.credential) return exchange.credential->id_text;
    }
    return exchange.connection().client_ip;
  }

  std::function<System::time_point()> now_;
  Share share_;
  std::string header_;
  By by_ = By::consumer;
};

std::shared_ptr<const void> parse_groups(const std::vector<json>& rows) {
  auto names = std::make_shared<Names>();
  for (const json& row : rows) names->push_back(row.value("group", ""));
  return names;
}

class ByGroup final : public Canary {
 public:
  ByGroup(const json& config, const plugin::Services& services)
      : Canary(config), groups_(services.population.index("acls", "consumer", parse_groups)), members_move_(config.at("hash") == "allow") {
    if (const auto groups = config.find("groups"); groups != config.end() && groups->is_array()) names_ = groups->get<Names>();
  }

 private:
  Step decide(Exchange& exchange) const override {
    if (exchange.authenticated_groups && any_named(*exchange.authenticated_groups)) return move_if(members_move_, exchange);
    // Who is nobody is in no group.
    if (!exchange.consumer) return move_if(!members_move_, exchange);
    if (const plugin::PopulationIndex::Value* known = groups_.peek(exchange.consumer->id_text, exchange.consumer->id_digest)) return with(exchange, *known);
    return load(exchange, exchange.consumer->id_text);
  }

  Task<Flow> load(Exchange& exchange, std::string consumer) const {
    Task<Result<plugin::PopulationIndex::Value>> finding = groups_.load(std::move(consumer));
    const Result<plugin::PopulationIndex::Value> found = co_await finding;
    if (!found) {
      // No reason to refuse anybody: the service is there.
      log::error("{}", found.error().to_string());
      co_return Flow::next();
    }
    co_return with(exchange, *found);
  }

  Flow with(Exchange& exchange, const plugin::PopulationIndex::Value& value) const {
    const bool member = value && any_named(*static_cast<const Names*>(value.get()));
    return move_if(member == members_move_, exchange);
  }

  bool any_named(const Names& groups) const {
    return std::any_of(groups.begin(), groups.end(), [&](const std::string& one) { return std::find(names_.begin(), names_.end(), one) != names_.end(); });
  }

  plugin::PopulationIndex& groups_;
  Names names_;
  bool members_move_;
};

Result<std::unique_ptr<plugin::Plugin>> make(const entity::PluginConfig& row, const plugin::Services& services) {
  const std::string hash = text_of(row.config, "hash");
  if (hash != "allow" && hash != "deny") return std::unique_ptr<plugin::Plugin>(std::make_unique<ByShare>(row.config, services));
  if (!services.population.knows("acls")) {
    return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway,
                 "canary with hash=" + hash + ", whose groups are those of the plugin acl: it is not enabled"};
  }
  return std::unique_ptr<plugin::Plugin>(std::make_unique<ByGroup>(row.config, services));
}

}  // namespace

plugin::PluginType type() {
  plugin::PluginType type;
  type.name = "canary";
  // 13 before Kong 3.0. After all that authenticates, limits and rewrites.
  type.priority = 20;
  type.phases = plugin::Phase::access;
  type.per_consumer = false;
  type.schema = schema();
  type.make = make;
  return type;
}

}  // namespace gateway::plugins::canary
