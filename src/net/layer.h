#pragma once

#include <array>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <string_view>

namespace gateway::net {

/// What lies between a stream and its socket and changes the bytes on their way: TLS.
///
/// It works on the socket itself and never waits. Its thread is the stream's.
class Layer {
 public:
  enum class State {
    moved,          ///< `bytes` went through
    wait_to_read,   ///< nothing goes on before the socket has more
    wait_to_write,  ///< nothing goes on before the socket takes more
    ended,          ///< the other side has said that nothing follows
    failed,         ///< error() tells why
  };
  struct Moved {
    State state;
    std::size_t bytes = 0;
    bool drained = false;  ///< the socket has been read empty
  };
  static constexpr std::size_t max_pieces = 4;
  using Pieces = std::array<std::string_view, max_pieces>;

  virtual ~Layer() = default;
  /// The opening of it: `moved` when both sides are agreed.
  virtual Moved open() noexcept = 0;
  virtual Moved read(char* into, std::size_t room) noexcept = 0;
  /// Takes some of the pieces, in order. After a wait the same bytes must come again.
  virtual Moved write(const Pieces& pieces) noexcept = 0;
  /// Something may be read without the socket having anything.
  [[nodiscard]] virtual bool holds_input() const noexcept = 0;
  /// Says that nothing follows, if that can be said at once.
  virtual void say_end() noexcept = 0;
  [[nodiscard]] virtual boost::system::error_code error() const noexcept = 0;
};

}  // namespace gateway::net
