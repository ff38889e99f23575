#pragma once

namespace gateway::app {

/// `sluice COMMAND [OPTIONS]`; what the process exits with.
int run_command_line(int count, char** arguments);

}  // namespace gateway::app
