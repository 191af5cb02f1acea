// Shell completions, made of the commands and options that the command line itself knows.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include "app/commands.hpp"
#include "policy/preset_library.hpp"

namespace faultline {
namespace {

std::vector<const CLI::App*> parts_of(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

/// Its commands and options; a part without a name is a group of options.
std::vector<std::string> words_of(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::App* part : parts_of(command)) {
    if (!part->get_name().empty()) {
      words.push_back(part->get_name());
      continue;
    }
    const std::vector<std::string> more = words_of(*part);
    words.insert(words.end(), more.begin(), more.end());
  }
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  return words;
}

/// One case a command: what has been typed decides which words come next.
void add_cases(const CLI::App& command, const std::string& path, std::string& cases) {
  std::vector<std::string> words = words_of(command);
  if (path == "preset show")
    for (const PresetText& preset : preset_texts()) words.emplace_back(preset.name);
  cases += fmt::format("    '{}') words='{}' ;;\n", path, fmt::join(words, " "));
  for (const CLI::App* part : parts_of(command))
    if (!part->get_name().empty())
      add_cases(*part, path.empty() ? part->get_name() : path + " " + part->get_name(), cases);
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::string cases;
  add_cases(app, "", cases);
  const std::string bash = fmt::format(
      R"(# Completion of faultline: source <(faultline completion bash)
_faultline() {{
  local path='' word words=''
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [[ $word == -* ]] || path="${{path:+$path }}$word"
  done
  case "$path" in
{}    *) words='' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
  [[ ${{#COMPREPLY[@]}} -gt 0 ]] || compopt -o default
}}
complete -F _faultline faultline
)",
      cases);
  // zsh runs the same function.
  return shell == "bash" ? bash : "autoload -U +X bashcompinit && bashcompinit\n" + bash;
}

}  // namespace faultline
