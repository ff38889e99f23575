#include "http/h2/session.h"

#include <sys/mman.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <utility>

#include "base/ascii.h"
#include "net/linger.h"

namespace gateway::http::h2 {
namespace {

// So many frames that carry nothing (resets, pings, settings, empty DATA, window updates) are borne at once, and so many
// more every second. A thousand cost us less than a millisecond; nobody who means well sends as many, except in answer to
// what we send. For that some is given back: Go's client, say, updates two windows for every 4 KiB that it reads.
constexpr double most_patience = 1000;
constexpr double patience_per_second = 50;
constexpr double bytes_per_patience = 1024;
constexpr double pings_per_frame = 2;
// What a field costs besides its bytes (RFC 9113, 6.5.2).
constexpr std::size_t bytes_per_field = 32;
// CONTINUATION frames of one header block: header_bytes fit into a few.
constexpr std::size_t max_continuations = 32;
constexpr std::size_t write_bytes = 65536;
constexpr std::size_t small_read = 4096;
constexpr std::size_t large_read = 16384;
// Frames that wait to be sent, for each stream and in all: more are waiting only when the other side asks and does not read.
constexpr std::size_t frames_per_stream = 8;
constexpr std::size_t frames_in_all = 1000;
constexpr std::int32_t connection_window = 16 << 20;
// After the first GOAWAY: what the client sent before it knew is still answered.
constexpr std::chrono::milliseconds goodbye_after{1000};

}  // namespace

struct Session::Callbacks {
  static Session& self(void* user) { return *static_cast<Session*>(user); }
  static void* stream_of(Session& me, StreamId id) { return nghttp2_session_get_stream_user_data(me.session_, id); }

  static int begin_frame(nghttp2_session* /*session*/, const nghttp2_frame_hd* head, void* user) {
    Session& me = self(user);
    switch (head->type) {
      case NGHTTP2_CONTINUATION:
        if (head->length > 0) ++me.useful_frames_;
        if (++me.continuations_ > max_continuations) me.guilty_of_ = "CONTINUATION frames";
        break;
      case NGHTTP2_HEADERS:
        me.continuations_ = me.block_bytes_ = 0;
        if (me.limits_.server && !me.may_open(head->stream_id)) return NGHTTP2_ERR_CALLBACK_FAILURE;
        break;
      default: break;
    }
    return me.guilty_of_ == nullptr ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    if (!me.limits_.server || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    void* stream = me.begin_stream(frame->hd.stream_id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ++me.open_streams_;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    return 0;
  }

  static int header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                    std::size_t value_size, std::uint8_t /*flags*/, void* user) {
    Session& me = self(user);
    // A few bytes can stand for many (RFC 7541, 6.1): a little over the limit is answered, much more is not read on.
    me.block_bytes_ += name_size + value_size + bytes_per_field;
    if (me.block_bytes_ > me.limits_.header_bytes) me.charge(me.patience_, 1, "fields in its heads");
    if (me.guilty_of_ != nullptr) return NGHTTP2_ERR_CALLBACK_FAILURE;
    void* stream = stream_of(me, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool taken = me.take_field(stream, {reinterpret_cast<const char*>(name), name_size}, {reinterpret_cast<const char*>(value), value_size});
    return taken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // A field that nghttp2 finds malformed (RFC 9113, 8.2.1) makes the whole message so.
  static int invalid_header(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/, const std::uint8_t* /*name*/, std::size_t /*name_size*/,
                            const std::uint8_t* /*value*/, std::size_t /*value_size*/, std::uint8_t /*flags*/, void* /*user*/) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    if (frame->hd.type == NGHTTP2_GOAWAY) me.going_away_ = true;
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) me.settings_came();
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    void* stream = stream_of(me, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      ++me.useful_frames_;
      me.end_head(stream, end);
    } else {
      const std::size_t payload = frame->hd.length - frame->data.padlen;
      if (end || payload > 0) ++me.useful_frames_;
      me.patience_.give(static_cast<double>(payload) / bytes_per_patience);
    }
    if (end) me.end_body(stream);
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t /*flags*/, StreamId id, const std::uint8_t* bytes, std::size_t size, void* user) {
    Session& me = self(user);
    // One stream that nobody reads must not hold up the others: the connection's window opens at once.
    nghttp2_session_consume_connection(session, size);
    void* stream = stream_of(me, id);
    if (stream != nullptr) {
      me.take_data(stream, {reinterpret_cast<const char*>(bytes), size});
    } else {
      nghttp2_session_consume_stream(session, id, size);
    }
    return 0;
  }

  static int closed(nghttp2_session* /*session*/, StreamId id, std::uint32_t error, void* user) {
    Session& me = self(user);
    void* stream = stream_of(me, id);
    if (stream == nullptr) return 0;
    --me.open_streams_;
    if (error == NGHTTP2_NO_ERROR) me.patience_.give(1);
    me.stream_closed(stream, error);
    return 0;
  }

  // The next bytes of a stream's body: how many may go, not the bytes themselves.
  static ssize_t read(nghttp2_session* session, StreamId id, std::uint8_t* /*into*/, std::size_t room, std::uint32_t* flags, nghttp2_data_source* source,
                      void* user) {
    auto& out = *static_cast<Outgoing*>(source->ptr);
    if (out.payload.empty() && !out.last) {
      out.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const std::size_t part = std::min(room, out.payload.size());
    if (part > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (part == out.payload.size() && out.last) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (out.trailers != nullptr && !out.trailers->empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        Fields fields;
        std::string names;
        for (const Header& each : *out.trailers) names += each.name;
        char* at = names.data();
        for (const Header& each : *out.trailers) {
          fields.push_back(field(lower_case(each.name, at), each.value));
          at += each.name.size();
        }
        nghttp2_submit_trailer(session, id, fields.data(), fields.size());
      }
      out.open = false;
      if (part == 0) self(user).wake(out);
    }
    return static_cast<ssize_t>(part);
  }

  static int send_data(nghttp2_session* /*session*/, nghttp2_frame* /*frame*/, const std::uint8_t* frame_head, std::size_t size, nghttp2_data_source* source,
                       void* user) {
    Session& me = self(user);
    auto& out = *static_cast<Outgoing*>(source->ptr);
    if (me.out_.size() >= write_bytes) return NGHTTP2_ERR_WOULDBLOCK;
    me.out_.append(reinterpret_cast<const char*>(frame_head), 9);
    me.out_.append(out.payload.substr(0, size));
    out.payload.remove_prefix(size);
    me.patience_.give(static_cast<double>(size) / bytes_per_patience);
    me.pings_.give(pings_per_frame);
    if (out.payload.empty()) me.wake(out);
    return 0;
  }

  // A stream that we had to reset for what came on it counts as one that was reset by the other side: there is nothing that
  // the one saves it and the other does not.
  static int sent(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    if (frame->hd.type == NGHTTP2_HEADERS) me.pings_.give(pings_per_frame);
    if (frame->hd.type != NGHTTP2_RST_STREAM) return 0;
    switch (frame->rst_stream.error_code) {
      case NGHTTP2_PROTOCOL_ERROR:
      case NGHTTP2_FLOW_CONTROL_ERROR:
      case NGHTTP2_STREAM_CLOSED:
      case NGHTTP2_FRAME_SIZE_ERROR:
      case NGHTTP2_REFUSED_STREAM: me.charge(me.patience_, 1, "streams that had to be reset"); break;
      default: break;
    }
    return 0;
  }

  static nghttp2_session_callbacks* all() {
    static nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      nghttp2_session_callbacks_new(&made);
      nghttp2_session_callbacks_set_on_begin_frame_callback(made, &Callbacks::begin_frame);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, &Callbacks::begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(made, &Callbacks::header);
      nghttp2_session_callbacks_set_on_invalid_header_callback(made, &Callbacks::invalid_header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, &Callbacks::frame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &Callbacks::data);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, &Callbacks::closed);
      nghttp2_session_callbacks_set_send_data_callback(made, &Callbacks::send_data);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, &Callbacks::sent);
      return made;
    }();
    return callbacks;
  }
};

// nghttp2 holds a buffer for the largest frame as long as a session lives. On pages of its own, its memory can be given back
// while nothing is sent.
struct Session::Memory {
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t frame_buffer = 5 * page;

  static bool is_frame_buffer(std::size_t size) noexcept { return size > frame_buffer - page && size <= frame_buffer; }

  static void* take(std::size_t size, void* user) {
    auto& me = *static_cast<Session*>(user);
    if (me.frame_buffer_ != nullptr || !is_frame_buffer(size)) return std::malloc(size);
    return me.frame_buffer_ = std::aligned_alloc(page, frame_buffer);
  }
  static void give(void* memory, void* user) {
    auto& me = *static_cast<Session*>(user);
    if (memory != nullptr && memory == me.frame_buffer_) me.frame_buffer_ = nullptr;
    std::free(memory);
  }
  static void* take_many(std::size_t count, std::size_t size, void* /*user*/) { return std::calloc(count, size); }
  static void* change(void* memory, std::size_t size, void* user) {
    if (memory == nullptr) return take(size, user);
    auto& me = *static_cast<Session*>(user);
    if (memory == me.frame_buffer_) me.frame_buffer_ = nullptr;
    return std::realloc(memory, size);
  }
};

void Session::rest() noexcept {
  if (frame_buffer_ != nullptr && !writing_ && !inside_) ::madvise(frame_buffer_, Memory::frame_buffer, MADV_DONTNEED);
}

Session::Session(net::Stream& stream, const Limits& limits)
    : stream_(stream),
      limits_(limits),
      patience_(most_patience, patience_per_second, Steady::now()),
      pings_(most_patience, patience_per_second, Steady::now()),
      goodbye_(
          stream.loop().deadlines(), [](void* self) { static_cast<Session*>(self)->say_goodbye(); }, this),
      heard_(Steady::now()),
      frames_(limits.server ? NGHTTP2_CLIENT_MAGIC_LEN : 0) {
  nghttp2_mem memory{this, &Memory::take, &Memory::give, &Memory::take_many, &Memory::change};  // copied
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);                       // closed_ knows what it needs them for
  nghttp2_option_set_stream_reset_rate_limit(option, 1 << 20, 1 << 20);  // our own count comes first
  nghttp2_option_set_max_continuations(option, max_continuations);
  nghttp2_option_set_max_send_header_block_length(option, 256 << 10);
  if (limits.server) {
    nghttp2_session_server_new3(&session_, Callbacks::all(), this, option, &memory);
  } else {
    nghttp2_session_client_new3(&session_, Callbacks::all(), this, option, &memory);
  }
  nghttp2_option_del(option);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes)},
  };
  if (limits.server) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});  // RFC 8441
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, connection_window);
}

Session::~Session() { nghttp2_session_del(session_); }

nghttp2_nv Session::field(std::string_view name, std::string_view value) noexcept {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())), reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

void Session::charge(Patience& patience, double amount, const char* what) {
  if (!patience.take(amount, Steady::now()) && guilty_of_ == nullptr) guilty_of_ = what;
}

// All frames but those that have carried something. The log names the kind there were most of.
void Session::charge_for_frames(const FrameCount::Seen& seen) {
  static constexpr std::array<const char*, FrameCount::types> names = {"empty DATA frames",
                                                                       "HEADERS frames",
                                                                       "PRIORITY frames",
                                                                       "resets",
                                                                       "SETTINGS frames",
                                                                       "PUSH_PROMISE frames",
                                                                       "PING frames",
                                                                       "GOAWAY frames",
                                                                       "WINDOW_UPDATE frames",
                                                                       "CONTINUATION frames",
                                                                       "frames of unknown types"};
  constexpr std::size_t ping = NGHTTP2_PING;
  double others = 0;
  std::size_t most = 0;
  for (std::size_t type = 0; type < seen.size(); ++type) {
    if (type == ping) continue;
    others += seen[type];
    if (seen[type] > seen[most]) most = type;
  }
  if (seen[ping] > 0) charge(pings_, seen[ping], names[ping]);
  const double useless = others - std::exchange(useful_frames_, 0);
  if (useless > 0) charge(patience_, useless, names[most]);
  if (useless < 0) patience_.give(-useless);
}

void Session::end_for(const char* crime) {
  misbehaves(crime);
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  ended_ = true;
}

class Session::WriterEnd {
 public:
  explicit WriterEnd(Session& session) noexcept : session_(session) {}
  bool await_ready() const noexcept { return !session_.writing_; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { session_.writer_ended_ = waiting; }
  void await_resume() const noexcept {}

 private:
  Session& session_;
};

void Session::wake(Outgoing& out) {
  if (out.waiting) resume_later(std::exchange(out.waiting, nullptr));
}

void Session::resume_ready() {
  if (std::exchange(resuming_, true)) return;
  // Those who are resumed may add others.
  for (std::size_t i = 0; i < ready_.size(); ++i) ready_[i].resume();
  ready_.clear();
  resuming_ = false;
}

// A stream that the other side passed over cannot be opened any more (RFC 9113, 5.1.1), which nghttp2 does not see: to it
// the frame comes late on a stream that was closed.
bool Session::may_open(StreamId id) {
  if (id > newest_) {
    if (id > newest_ + 2) passed_over_[next_passed_over_++ % passed_over_.size()] = {newest_, id};
    newest_ = id;
    return true;
  }
  return std::none_of(passed_over_.begin(), passed_over_.end(), [id](const auto& range) { return id > range.first && id < range.second; });
}

// nghttp2 does not tell of frames on streams that it has forgotten.
void Session::look_at(const FrameCount::Head& head) noexcept {
  const bool carries = head.type == NGHTTP2_DATA || head.type == NGHTTP2_HEADERS;
  if (carries && closed_.has(head.stream)) spoke_on_ = true;
  if (head.type == NGHTTP2_RST_STREAM || (carries && (head.flags & NGHTTP2_FLAG_END_STREAM) != 0)) closed_.add(head.stream);
}

// Zero, or nghttp2's error: the other side broke the protocol, or bears on our patience.
int Session::feed(std::string_view bytes) {
  inside_ = true;
  const ssize_t taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  inside_ = false;
  return taken < 0 ? static_cast<int>(taken) : 0;
}

Task<void> Session::run() {
  flush();
  std::size_t came = 0;  // with the last read
  while (!ended_) {
    if (!stream_.data().empty()) {
      const std::string_view bytes = stream_.data();
      heard_ = Steady::now();
      const int result = feed(bytes);
      charge_for_frames(frames_.count(bytes, [this](const FrameCount::Head& head) { look_at(head); }));
      came = bytes.size();
      stream_.consume(came);
      const std::size_t waiting = nghttp2_session_get_outbound_queue_size(session_);
      if (guilty_of_ != nullptr) {
        end_for(guilty_of_);
      } else if (result == NGHTTP2_ERR_FLOODED || waiting > frames_in_all + frames_per_stream * limits_.streams) {
        end_for("frames that want an answer");
      } else if (result == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        end_for("CONTINUATION frames");
      } else if (result < 0) {
        nghttp2_session_terminate_session(session_, NGHTTP2_PROTOCOL_ERROR);
        ended_ = true;
      } else if (limits_.server && spoke_on_) {
        nghttp2_session_terminate_session(session_, NGHTTP2_STREAM_CLOSED);
        ended_ = true;
      }
      if (!ended_) came_in();
      resume_ready();
      flush();
      if (nghttp2_session_want_read(session_) == 0 && !writing_ && nghttp2_session_want_write(session_) == 0) ended_ = true;
      continue;
    }
    if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0 && !writing_) break;
    // A larger block for a body that comes; not for waiting, which may be long.
    if (!stream_.reading()) came < small_read ? stream_.release_block() : stream_.reserve(large_read);
    const Result<bool> more = co_await stream_.more();
    if (more && (*more || !stream_.data().empty())) continue;
    // Unless it was the writer that ended the wait: all is said.
    lost_ = nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0;
    break;
  }
  ended_ = run_over_ = true;
  goodbye_.clear();
  co_await WriterEnd(*this);
}

Task<void> Session::part() {
  if (!lost_) co_await net::linger(stream_);
}

void Session::drain() {
  if (ended_ || going_away_) return;
  going_away_ = true;
  nghttp2_submit_shutdown_notice(session_);
  goodbye_.set(goodbye_after);
  flush();
}

void Session::say_farewell() {
  if (ended_) return;
  going_away_ = true;
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  flush();
}

void Session::say_goodbye() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr, 0);
  flush();
}

void Session::abort() noexcept {
  ended_ = lost_ = true;
  stream_.cancel();
}

bool Session::submit_response(Outgoing& out, const Fields& fields, bool body) {
  if (ended_) return false;
  nghttp2_data_provider provider{{.ptr = &out}, &Callbacks::read};
  out.open = body;
  return nghttp2_submit_response(session_, out.id, fields.data(), fields.size(), body ? &provider : nullptr) == 0;
}

bool Session::submit_interim(StreamId id, const Fields& fields) {
  if (ended_) return false;
  return nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, fields.data(), fields.size(), nullptr) == 0;
}

bool Session::submit_request(Outgoing& out, const Fields& fields, bool body, void* stream) {
  if (!takes_streams()) return false;
  nghttp2_data_provider provider{{.ptr = &out}, &Callbacks::read};
  const StreamId id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(), body ? &provider : nullptr, stream);
  if (id < 0) return false;
  out.id = id;
  out.open = body;
  ++open_streams_;
  return true;
}

bool Session::send(Outgoing& out) {
  if (ended_) return true;
  if (std::exchange(out.deferred, false)) nghttp2_session_resume_data(session_, out.id);
  flush();
  return out.taken();
}

void Session::reset(StreamId id, std::uint32_t error) {
  if (ended_) return;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error);
  flush();
}

void Session::used(StreamId id, std::size_t bytes) {
  if (ended_ || bytes == 0) return;
  nghttp2_session_consume_stream(session_, id, bytes);
  flush();
}

void Session::widen(StreamId id) {
  if (ended_) return;
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::int32_t>(limits_.busy_stream_window));
}

void Session::flush() {
  if (writing_ || inside_ || run_over_) return;
  writing_ = true;
  // When all that has come in this turn of the loop has been looked at: answers of many streams leave in one write.
  boost::asio::post(stream_.loop().io(), [this] { spawn(write_out()); });
}

// What nghttp2 has to send, up to a fair write.
bool Session::collect() {
  out_.clear();
  inside_ = true;
  while (out_.size() < write_bytes) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size <= 0) break;  // nothing more; or bodies that must wait for the next write
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
  inside_ = false;
  return !out_.empty();
}

Task<void> Session::write_out() {
  for (;;) {
    // Those who are resumed may add something.
    bool some = collect();
    while (!some && !ready_.empty()) {
      resume_ready();
      some = collect();
    }
    resume_ready();
    if (!some) break;
    const std::string_view bytes = out_;
    const Status sent = co_await stream_.write(bytes);
    if (!sent) {
      // Whoever reads learns of it; nothing can be sent any more.
      stream_.cancel();
      ended_ = lost_ = true;
      break;
    }
  }
  if (open_streams_ == 0) std::string().swap(out_);  // an idle connection holds no buffers; assigning would keep this one
  writing_ = false;
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) stream_.interrupt();
  if (writer_ended_) std::exchange(writer_ended_, nullptr).resume();
}

}  // namespace gateway::http::h2
