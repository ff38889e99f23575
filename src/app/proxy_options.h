#pragma once

#include "app/settings/settings.h"
#include "net/resolver.h"
#include "proxy/options.h"

namespace gateway::app {

struct DataPathOptions {
  proxy::Options proxy;
  net::Resolver::Options dns;
};

/// How listeners speak TLS.
tls::ServerOptions server_options(const TlsSettings& settings);

/// The settings the data path is made with. What is wrong with them goes to settings.values.errors.
DataPathOptions data_path_options(Settings& settings);

}  // namespace gateway::app
