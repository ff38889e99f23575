#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <utility>

namespace gateway {

/// Which side caused a failure. Retries, the status sent and the access log all turn on it.
enum class Origin { client, upstream, gateway };

/// A failure the caller is expected to meet and handle.
struct Error {
  boost::system::error_code code;  ///< what failed: stable, comparable
  Origin origin = Origin::gateway;
  std::string doing;  ///< what we were doing; for the log, never for the client

  [[nodiscard]] std::string to_string() const { return doing + ": " + code.message(); }
};

/// Needed by boost::system::result to turn a misuse (value() without a value) into an exception.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

template <class T>
class [[nodiscard]] Result : public boost::system::result<T, Error> {
 public:
  using boost::system::result<T, Error>::result;
};

using Status = Result<void>;

}  // namespace gateway
