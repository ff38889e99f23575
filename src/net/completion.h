#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>

namespace gateway::net {

using StreamSocket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

/// Who is told of the end of an operation, on the loop's thread. Whoever started the operation may be gone afterwards.
struct Completion {
  void (*done)(void* owner, const boost::system::error_code& error, std::size_t bytes) = nullptr;
  void* owner = nullptr;

  void operator()(const boost::system::error_code& error, std::size_t bytes) const { done(owner, error, bytes); }
};

}  // namespace gateway::net
