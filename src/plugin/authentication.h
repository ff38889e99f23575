#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/exchange.h"
#include "plugin/flow.h"
#include "plugin/services.h"

namespace gateway::plugin {

/// A consumer, and what the upstream is told of it.
struct KnownConsumer : entity::Consumer {
  explicit KnownConsumer(entity::Consumer of);
  KnownConsumer(const KnownConsumer&) = delete;
  KnownConsumer& operator=(const KnownConsumer&) = delete;
  std::vector<http::Header> headers;  ///< views into the consumer
};

/// Consumers as requests need them, by id and by name.
class Consumers {
 public:
  using ConsumerPtr = std::shared_ptr<const KnownConsumer>;

  explicit Consumers(Population& population);

  /// Known on this worker; nullptr when it has to be loaded. A null value behind it: there is none.
  [[nodiscard]] const PopulationIndex::Value* peek(std::string_view id, const Digest& digest) const { return by_id_.peek(id, digest); }
  /// Null when there is none. Errors: the datastore failed.
  Task<Result<ConsumerPtr>> load(std::string id) const;
  /// The same by id or username.
  Task<Result<ConsumerPtr>> find(std::string id_or_username) const;

 private:
  PopulationIndex& by_id_;
  PopulationIndex& by_username_;
};

/// Names the consumer and the credential to the plugins that follow, and to the upstream by headers; what a
/// client said in those is replaced or removed. `identifier` of the credential: it lives as long as that; empty: none is told.
void authenticate(Exchange& exchange, Consumers::ConsumerPtr consumer, std::shared_ptr<const Credential> credential, const http::Header& identifier);

/// The header that tells the upstream of a credential.
[[nodiscard]] http::Header credential_identifier(std::string_view text);

/// The same for a request that goes on without a credential, as the consumer a plugin's `anonymous` names.
void authenticate_anonymous(Exchange& exchange, Consumers::ConsumerPtr consumer);

}  // namespace gateway::plugin
