#pragma once

#include <functional>
#include <string>
#include <vector>

#include "admin/context.h"
#include "admin/dns_view.h"
#include "admin/information.h"
#include "admin/legacy.h"
#include "admin/rows.h"
#include "admin/targets.h"
#include "base/task.h"
#include "http/message.h"

namespace gateway::admin {

/// Which of a node's interfaces: the status one only tells, and may be shown to those who watch.
enum class Interface { admin, status };

/// The Admin API, or the status interface: which path and verb do what. One thread (control), many requests at once.
class Api {
 public:
  Api(Context context, Interface which);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  /// Answers one request. Never fails: what goes wrong becomes an answer.
  Task<http::Reply> handle(const http::RequestHead& head, std::string_view body);

 private:
  using Handler = std::function<Task<http::Reply>(Call&)>;
  struct Endpoint {
    std::vector<std::string> pattern;  ///< "{name}" stands for any segment
    std::vector<std::string> verbs;
    Handler handler;
  };

  void add(std::string_view path, std::vector<std::string> verbs, Handler handler);
  void add_status();
  void add_information();
  void add_legacy();
  void add_entity(const entity::Type& type);
  void add_targets();
  void add_absent();
  void add_nested(const entity::Type& child, const entity::Foreign& foreign);
  [[nodiscard]] const Endpoint* locate(const std::vector<std::string>& path) const;
  [[nodiscard]] Json endpoint_paths() const;
  Task<http::Reply> answer(const http::RequestHead& head, std::string_view body);
  Task<http::Reply> nested(const entity::Type& parent, const entity::Type& child, const entity::Foreign& foreign, Call& call);

  Context context_;
  Rows rows_;
  Targets targets_;
  Legacy legacy_;
  Information information_;
  DnsView dns_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace gateway::admin
