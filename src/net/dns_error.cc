#include "net/dns_error.h"

#include <ares.h>

#include <boost/asio/error.hpp>
#include <string>

namespace gateway::net {
namespace {

constexpr int recursion = 1000;  // beyond what c-ares uses

class Category final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "dns"; }
  [[nodiscard]] std::string message(int status) const override {
    switch (status) {
      case ARES_ENOTFOUND: return "dns server error: 3 name error";
      case ARES_ENODATA: return "dns client error: 101 empty record received";
      case ARES_EFORMERR: return "dns server error: 1 format error";
      case ARES_ENOTIMP: return "dns server error: 4 not implemented";
      case ARES_EREFUSED: return "dns server error: 5 refused";
      case ARES_ESERVFAIL: return "dns server error: 2 server failure";
      case recursion: return "recursion detected";
      default: return ares_strerror(status);
    }
  }
};

bool is(const boost::system::error_code& error, int status) noexcept { return error.category() == dns_category() && error.value() == status; }

}  // namespace

const boost::system::error_category& dns_category() noexcept {
  static const Category category;
  return category;
}

boost::system::error_code dns_error(int status) noexcept {
  if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION) return boost::asio::error::operation_aborted;
  // c-ares tells "refused" also when every server answered SERVFAIL or REFUSED: no server could tell.
  if (status == ARES_ECONNREFUSED) status = ARES_ESERVFAIL;
  return {status, dns_category()};
}

boost::system::error_code dns_recursion() noexcept { return {recursion, dns_category()}; }

bool is_no_such_name(const boost::system::error_code& error) noexcept { return is(error, ARES_ENOTFOUND); }
bool is_empty_answer(const boost::system::error_code& error) noexcept { return is(error, ARES_ENODATA); }
bool is_server_failure(const boost::system::error_code& error) noexcept {
  return is(error, ARES_ESERVFAIL) || is(error, ARES_EFORMERR) || is(error, ARES_ENOTIMP) || is(error, ARES_EREFUSED);
}

}  // namespace gateway::net
