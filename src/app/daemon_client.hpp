// Asking a running daemon, and showing its answer: what all commands that do so share.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "app/commands.hpp"
#include "control/http_client.hpp"

namespace faultline {

using Json = nlohmann::ordered_json;

/// The daemon's answer, or the exit status that says why there is none.
struct Answer {
  Exit exit = Exit::kDone;
  Json json;
};

HttpCall call_for(const char* method, std::string path);
/// With a body in YAML.
HttpCall call_with(const char* method, std::string path, std::string yaml);

/// What went wrong is told. `file` is named in problems that the daemon found in a body.
Answer ask_daemon(const DaemonOptions& options, HttpCall call, const std::string& file = {});
/// The exit status of an answer that is none, which is told.
Exit tell_refusal(const DaemonOptions& options, const HttpResult& result, const std::string& file);

/// Asks, and shows the answer: as JSON, or in the words of `show`.
template <typename Show>
Exit ask_and_show(const DaemonOptions& options, HttpCall call, const Show& show,
                  const std::string& file = {}) {
  const Answer answer = ask_daemon(options, std::move(call), file);
  if (answer.exit != Exit::kDone)
    return answer.exit;
  if (options.form == OutputForm::kJson)
    fmt::print("{}\n", answer.json.dump());
  else
    show(answer.json);
  return Exit::kDone;
}

}  // namespace faultline
