#pragma once

#include "base/task.h"
#include "net/stream.h"

namespace gateway::net {

/// Ends our side of a connection and reads what the other side still sends, for a short time: closing a socket with unread
/// bytes resets it, and what we said last would be lost on the way (RFC 9112, 9.6). Ends at once where reading has failed.
Task<void> linger(Stream& stream);

}  // namespace gateway::net
