#include "upstream/probe.h"

#include <boost/asio/error.hpp>
#include <optional>

#include "upstream/tls_client.h"

namespace gateway::upstream {
namespace {

using Checks = entity::ActiveChecks;

constexpr std::size_t input_bytes = 4096;
constexpr std::size_t longest_status_line = 2048;

Finding failure_of(const Error& error) {
  if (error.code == boost::asio::error::timed_out) return {Finding::Kind::timeout, 0};
  if (error.code == boost::asio::error::operation_aborted) return {Finding::Kind::aborted, 0};
  return {Finding::Kind::tcp_failure, 0};
}

std::string request_text(const Checks& checks, const std::string& host) {
  std::string text = "GET " + checks.http_path + " HTTP/1.0\r\n";
  for (const auto& [name, value] : checks.headers) text += name + ": " + value + "\r\n";
  return text + "Host: " + host + "\r\n\r\n";
}

// "HTTP/1.1 200 OK"; 0: something else.
unsigned status_in(std::string_view line) {
  if (!line.starts_with("HTTP/")) return 0;
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || line.size() < blank + 4) return 0;
  unsigned status = 0;
  for (const char digit : line.substr(blank + 1, 3)) {
    if (digit < '0' || digit > '9') return 0;
    status = status * 10 + static_cast<unsigned>(digit - '0');
  }
  return status < 100 ? 0 : status;
}

std::string without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

}  // namespace

Task<Finding> Prober::probe(net::SocketAddress peer, std::shared_ptr<const entity::Upstream> upstream, std::string host) {
  if (aborted_) co_return Finding{Finding::Kind::aborted, 0};
  net::Stream stream(loop_, input_bytes);
  streams_.insert(&stream);
  const Finding found = co_await converse(stream, peer, upstream->health.active, host);
  co_await stream.finish();
  streams_.erase(&stream);
  co_return found;
}

void Prober::abort() noexcept {
  aborted_ = true;
  for (net::Stream* stream : streams_) stream->cancel();
}

Task<Finding> Prober::converse(net::Stream& stream, const net::SocketAddress& peer, const Checks& checks, const std::string& host) {
  const auto renew = [&] { stream.expires_after(checks.timeout); };
  renew();
  const Status connected = co_await stream.connect(peer);
  // The wheel is coarse: a connection may have been made in the last moment before its time was up.
  if (!connected || stream.timed_out()) co_return stream.timed_out() ? Finding{Finding::Kind::timeout, 0} : failure_of(connected.error());
  if (checks.kind == Checks::Kind::tcp) co_return Finding{Finding::Kind::connected, 0};

  std::optional<TlsClient> tls;
  if (checks.kind == Checks::Kind::https || checks.kind == Checks::Kind::tls) {
    if (!tls_) {
      tls_.reset(SSL_CTX_new(TLS_client_method()));
      if (!tls_) co_return Finding{Finding::Kind::aborted, 0};
      SSL_CTX_set_default_verify_paths(tls_.get());
    }
    const std::string name = checks.https_sni.empty() ? without_port(host) : checks.https_sni;
    tls.emplace(stream, tls_.get(), name, checks.verify_certificate ? TlsClient::Verify::yes : TlsClient::Verify::no);
    renew();
    const Status shaken = co_await tls->shake_hands();
    if (!shaken) co_return failure_of(shaken.error());
    if (checks.kind == Checks::Kind::tls) co_return Finding{Finding::Kind::connected, 0};
  }

  const std::string text = request_text(checks, host);
  renew();
  Status sent;
  if (tls) {
    sent = co_await tls->write(text);
  } else {
    sent = co_await stream.write(text);
  }
  if (!sent) co_return failure_of(sent.error());

  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < longest_status_line) {
    renew();
    Result<bool> more = true;
    if (tls) {
      more = co_await tls->read(line);
    } else {
      more = co_await stream.more();
      line.append(stream.data());
      stream.consume(stream.data().size());
    }
    if (!more) co_return failure_of(more.error());
    if (!*more) break;
  }
  // It took the request and closed without a word: that is no answer but a failure of the connection.
  if (line.empty()) co_return Finding{Finding::Kind::tcp_failure, 0};
  co_return Finding{Finding::Kind::answered, status_in(line)};
}

}  // namespace gateway::upstream
