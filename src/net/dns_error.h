#pragma once

#include <boost/system/error_code.hpp>

namespace gateway::net {

/// Failures of names: c-ares' states as error codes, worded as Kong words them where it has a wording.
const boost::system::error_category& dns_category() noexcept;

/// Of a state of c-ares that is no success.
boost::system::error_code dns_error(int ares_status) noexcept;

/// A name that leads back to itself.
boost::system::error_code dns_recursion() noexcept;

/// The name does not exist.
bool is_no_such_name(const boost::system::error_code& error) noexcept;
/// The name exists, without records of the kind asked for.
bool is_empty_answer(const boost::system::error_code& error) noexcept;
/// The servers refuse or fail to tell, but they do answer: another type may still be asked for.
bool is_server_failure(const boost::system::error_code& error) noexcept;

}  // namespace gateway::net
