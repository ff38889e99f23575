#pragma once

#include <string>

#include "plugin/exchange.h"
#include "plugin/flow.h"
#include "plugin/services.h"

namespace gateway::plugin {

/// Consumers as requests need them, by id and by name.
class Consumers {
 public:
  using ConsumerPtr = std::shared_ptr<const entity::Consumer>;

  explicit Consumers(Population& population);

  /// Known on this worker; nullptr when it has to be loaded. A null value behind it: there is none.
  [[nodiscard]] const PopulationIndex::Value* peek(std::string_view id) const { return by_id_.peek(id); }
  /// Null when there is none. Errors: the datastore failed.
  Task<Result<ConsumerPtr>> load(std::string id) const;
  /// The same by id or username.
  Task<Result<ConsumerPtr>> find(std::string id_or_username) const;

 private:
  PopulationIndex& by_id_;
  PopulationIndex& by_username_;
};

/// Names the consumer and the credential to the plugins that follow, and to the upstream by headers; what a
/// client said in those is replaced or removed. `credential_identifier` empty: none is told.
void authenticate(Exchange& exchange, std::shared_ptr<const entity::Consumer> consumer, std::shared_ptr<const Credential> credential,
                  std::string_view credential_identifier);

/// The same for a request that goes on without a credential, as the consumer a plugin's `anonymous` names.
void authenticate_anonymous(Exchange& exchange, std::shared_ptr<const entity::Consumer> consumer);

}  // namespace gateway::plugin
