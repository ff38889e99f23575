#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/task.h"
#include "http/h2/closed_streams.h"
#include "http/h2/frame_count.h"
#include "http/h2/patience.h"
#include "http/headers.h"
#include "net/deadline.h"
#include "net/stream.h"

namespace gateway::http::h2 {

using StreamId = std::int32_t;

/// What one stream of a connection sends: its owner keeps it, the session takes bytes from it as the windows allow.
struct Outgoing {
  StreamId id = -1;
  std::string_view payload;           ///< what is left of the piece being sent
  bool last = false;                  ///< nothing follows the piece
  const Headers* trailers = nullptr;  ///< what follows then all the same
  bool open = false;                  ///< submitted, its end not sent yet
  bool deferred = false;              ///< the session has asked for more than there was
  std::coroutine_handle<> waiting;    ///< who waits until the piece is taken
  [[nodiscard]] bool taken() const noexcept { return payload.empty() && (!last || !open); }
};

/// One HTTP/2 connection over a stream, either side of it: frames in and out through nghttp2, flow control, and what
/// keeps a hostile other side from costing more than it should.
///
/// Threads    the stream's. Callbacks into the owner never come while it is inside of nghttp2 by a call of its own,
///            except where said.
/// Source     RFC 9113, RFC 7541, RFC 8441.
class Session {
 public:
  struct Limits {
    bool server = true;
    std::uint32_t streams = 128;                ///< at a time, those the other side opens
    std::size_t header_bytes = 32768;           ///< of one message, names and values as they are sent
    std::uint32_t stream_window = 65535;        ///< bytes of a body that wait for us, at first
    std::uint32_t busy_stream_window = 524288;  ///< the same once we have read some of it
  };

  Session(net::Stream& stream, const Limits& limits);
  virtual ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Speaks until the connection ends. Streams that are open then are the owner's to end; afterwards part().
  Task<void> run();
  /// Lets what was said last reach the other side. Then the connection may be closed.
  Task<void> part();
  /// Sends what has been submitted, now or when the write under way has ended; nothing once run() is over.
  void flush();
  /// No new streams; ends when those that are open have ended.
  void drain();
  /// The same without waiting for streams that may be on their way already.
  void say_farewell();
  /// Ends now.
  void abort() noexcept;
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool takes_streams() const noexcept { return !ended_ && !going_away_; }
  /// When the last bytes came.
  [[nodiscard]] Steady::time_point heard() const noexcept { return heard_; }

  // Sending, for the owner of a stream

  using Fields = std::vector<nghttp2_nv>;
  /// The head of an answer, and its body when `out` is given one. `out.id` is set.
  bool submit_response(Outgoing& out, const Fields& fields, bool body);
  bool submit_interim(StreamId id, const Fields& fields);
  /// The head of a request; sets `out.id`. `stream` comes back in the callbacks. False: no stream can be opened.
  bool submit_request(Outgoing& out, const Fields& fields, bool body, void* stream);
  /// The next piece; out.payload and out.last are set. True when it is taken at once.
  bool send(Outgoing& out);
  void reset(StreamId id, std::uint32_t error);
  /// So many bytes of a stream's body have been used: the other side may send as many more.
  void used(StreamId id, std::size_t bytes);
  /// A body that is read as it comes may have more on its way.
  void widen(StreamId id);

  static nghttp2_nv field(std::string_view name, std::string_view value) noexcept;

 protected:
  // Of the other side; called inside of nghttp2: nothing of the session but reset() and submit_* may be called.
  virtual void* begin_stream(StreamId id) = 0;  ///< server: a request begins; null refuses the stream
  /// False: the stream is reset.
  virtual bool take_field(void* stream, std::string_view name, std::string_view value) = 0;
  virtual void end_head(void* stream, bool end_of_stream) = 0;
  virtual void take_data(void* stream, std::string_view bytes) = 0;
  virtual void end_body(void* stream) = 0;
  virtual void stream_closed(void* stream, std::uint32_t error) = 0;
  /// The other side has said what it takes: its settings are in force.
  virtual void settings_came() {}
  /// Outside of nghttp2, after bytes have come in: what was noted above can be acted on.
  virtual void came_in() {}
  /// The other side behaves in a way that only costs: for the log.
  virtual void misbehaves(const char* /*how*/) {}

  /// Resumes a waiting coroutine once we are outside of nghttp2.
  void resume_later(std::coroutine_handle<> waiting) { ready_.push_back(waiting); }
  void resume_ready();
  [[nodiscard]] net::Stream& stream() noexcept { return stream_; }
  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }
  /// For a connection on which nothing has been asked for a while: gives back memory that is only needed while it speaks.
  void rest() noexcept;
  /// The other side takes extended CONNECT (RFC 8441, 3).
  [[nodiscard]] bool takes_extended_connect() const noexcept {
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  }
  /// Streams the other side lets us open at a time.
  [[nodiscard]] std::uint32_t streams_allowed() const noexcept {
    return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  }

 private:
  struct Callbacks;
  friend struct Callbacks;

  class WriterEnd;
  void wake(Outgoing& out);
  void say_goodbye();
  /// For what only costs: the connection ends when it was too much.
  void charge(Patience& patience, double amount, const char* what);
  void charge_for_frames(const FrameCount::Seen& seen);
  void look_at(const FrameCount::Head& head) noexcept;
  bool may_open(StreamId id);
  void end_for(const char* crime);
  Task<void> write_out();
  bool collect();
  int feed(std::string_view bytes);

  net::Stream& stream_;
  Limits limits_;
  struct Memory;
  void* frame_buffer_ = nullptr;  // nghttp2's, in which it makes frames: pages of its own
  nghttp2_session* session_ = nullptr;
  std::string out_;
  std::vector<std::coroutine_handle<>> ready_;
  std::coroutine_handle<> writer_ended_;  // run() waits for the writer
  const char* guilty_of_ = nullptr;
  Patience patience_;
  Patience pings_;  // apart: who streams small messages may measure the way with each of them (gRPC does)
  std::size_t open_streams_ = 0;
  net::Deadline goodbye_;  // how long requests may still be on their way after the first GOAWAY
  Steady::time_point heard_;
  FrameCount frames_;
  double useful_frames_ = 0;  // of those that have come in, since they were last charged for
  std::size_t continuations_ = 0;
  std::size_t block_bytes_ = 0;                                 // of the header block that is coming, as RFC 9113, 6.5.2, counts them
  StreamId newest_ = -1;                                        // of those the other side opened
  std::array<std::pair<StreamId, StreamId>, 8> passed_over_{};  // ranges, their ends not in them
  std::size_t next_passed_over_ = 0;
  ClosedStreams closed_;
  bool inside_ = false;  // of nghttp2
  bool writing_ = false;
  bool resuming_ = false;
  bool going_away_ = false;
  bool ended_ = false;
  bool run_over_ = false;  // run() is over, or waits for the writer alone
  bool spoke_on_ = false;  // the other side, on a stream that it had ended
  bool lost_ = false;      // the other side is gone, or may be: nobody is left to be told anything
};

}  // namespace gateway::http::h2
