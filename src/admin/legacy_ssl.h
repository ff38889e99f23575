#pragma once

#include <optional>
#include <vector>

#include "admin/certificates.h"
#include "admin/legacy_api.h"

namespace gateway::admin {

/// The `ssl` plugin of the 0.9 generation ("dynamic SSL"), in its words: a certificate that is shown for the hosts of an
/// api, and a word on whether the api wants HTTPS. It is a row of `certificates` with the plugin's id, names in `snis`,
/// and the protocols of the api's route; tags say whose plugin a certificate is and what no field of today tells.
/// Source: Kong 0.9.9, ssl plugin.
class LegacySsl {
 public:
  explicit LegacySsl(Context& context) : context_(context), certificates_(context) {}

  /// The certificate of an api's plugin; nullopt when it has none.
  Task<Result<std::optional<Json>>> find(Uuid api);
  /// As that generation shows a plugin.
  [[nodiscard]] static Json show(const LegacyApi& api, const Json& certificate);

  enum class Over { nothing, existing };
  /// Lays `given` over nothing or over what there is, and writes it. With a pass in hand.
  Task<http::Reply> save(LegacyApi api, std::optional<Json> existing, Json given, Over over, unsigned status);
  Task<http::Reply> remove(LegacyApi api, Json certificate);

  /// What is to be written of an api's plugin when the api is: its names are the hosts that the api has now.
  Task<Certificates::Plan> follow(const LegacyApi& api);

 private:
  struct Config;
  static Config read_config(const LegacyApi& api, const Json& certificate);
  static Json lay_over(Config& config, Json given);
  [[nodiscard]] std::vector<std::string> names_of(const LegacyApi& api) const;
  /// Changes the route of `api`, when what the plugin wants of it is another than before. Complaints, or null.
  Json change_route(LegacyApi& api, const Config& before, const Config& after) const;

  Context& context_;
  Certificates certificates_;
};

}  // namespace gateway::admin
