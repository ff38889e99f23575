#pragma once

#include <functional>
#include <optional>

#include "admin/answers.h"
#include "base/uuid.h"

namespace gateway::admin {

/// A list as the 0.9 and 0.10 generations gave it: filtered by any field, with a total, pages named by address.
///
/// Rows are offered in ascending order of their ids, all of them: the total counts those that pass the filters.
class LegacyList {
 public:
  /// `is_field`: the names that may be filtered by. An answer when the arguments of the call are not good.
  std::optional<http::Reply> read(const Call& call, const std::function<bool(const std::string&)>& is_field);

  /// `shown`: the row as that generation shows it.
  void offer(const Uuid& id, Json shown);

  /// `path`: of the list, for the address of the next page.
  [[nodiscard]] http::Reply reply(const Call& call, std::string_view path);

 private:
  std::size_t size_ = 100;
  std::optional<Uuid> after_;
  Json filters_ = Json::object();
  Json data_ = Json::array();
  std::size_t total_ = 0;
  std::optional<Uuid> last_;
  bool more_ = false;
};

}  // namespace gateway::admin
