#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/keyed_hash.h"
#include "base/uuid.h"

namespace gateway::entity {

/// Who calls. Kong 3.9 entity `consumers`.
struct Consumer {
  Uuid id;
  std::string id_text;                             ///< the id as headers and logs show it
  Digest id_digest;                                ///< of id_text, by TableHash::of_process()
  std::string username;                            ///< empty when unset
  std::string custom_id;                           ///< empty when unset
  std::shared_ptr<const nlohmann::json> document;  ///< whole, for the log record

  /// From a validated document, as the store keeps it.
  static Consumer from_json(const nlohmann::json& document);
};

}  // namespace gateway::entity
