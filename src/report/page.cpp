// Putting the page together. Scripts and styles are allowed by their hashes, everything from
// elsewhere is forbidden, and data cannot be mistaken for markup.
#include "report/page.hpp"

#include <array>
#include <cstdlib>
#include <span>

#include <fmt/format.h>

#include "report/page_parts.hpp"

namespace faultline {
namespace {

unsigned digit_of(char hex) {
  return static_cast<unsigned>(hex <= '9' ? hex - '0' : hex - 'a' + 10);
}

/// Base64 (RFC 4648) of bytes in hex digits, as a content security policy writes a hash.
std::string base64_of(std::string_view hex) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < hex.size(); at += 6) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 6; ++i)
      bits = bits << 4 | (at + i < hex.size() ? digit_of(hex[at + i]) : 0);
    for (std::size_t i = 0; i < 4; ++i)
      text += at + 3 * i / 2 < hex.size() ? kLetters[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::string sources(std::span<const PagePart> parts) {
  std::string text;
  for (const PagePart& part : parts) text += fmt::format(" 'sha256-{}'", base64_of(part.sha256));
  return text;
}

/// As JSON in which nothing can end the element that it stands in.
std::string data_of(const Json& json) {
  const std::string plain = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  text.reserve(plain.size());
  for (const char letter : plain)
    if (letter == '<')
      text += "\\u003c";
    else
      text += letter;
  return text;
}

/// Numbers that JavaScript would round, such as a seed, as their digits.
Json exact(Json json) {
  constexpr std::int64_t kWholeMax = std::int64_t{1} << 53;
  if (json.is_structured()) {
    for (auto& each : json) each = exact(std::move(each));
    return json;
  }
  const bool rounded =
      json.is_number_unsigned()
          ? json.get<std::uint64_t>() > static_cast<std::uint64_t>(kWholeMax)
          : json.is_number_integer() && std::abs(json.get<std::int64_t>() / 2) > kWholeMax / 2;
  return rounded ? Json(json.dump()) : json;
}

Json data_json(const RunRecord& folder, const PageExtras& extras) {
  Json files = Json::array();
  for (const FolderFile& file : folder.files)
    files.push_back({{"name", file.name}, {"there", file.is_there}, {"trouble", file.trouble}});
  return {{"version", extras.version},
          {"files", std::move(files)},
          {"scenario", folder.scenario},
          {"environment", exact(folder.environment)},
          {"statistics", exact(folder.statistics)},
          {"verdict", exact(folder.verdict)},
          {"flows", exact(folder.flows)},
          {"events", exact(folder.events)},
          {"events_left_out", folder.events_left_out},
          {"series", folder.series.to_json()},
          {"asked", extras.asked},
          {"lateness_bound", extras.lateness_bound}};
}

}  // namespace

std::string report_page(const RunRecord& folder, const PageExtras& extras) {
  constexpr std::array kScripts = {kUplotScript, kFiguresScript, kPlotScript, kRulesScript,
                                   kPageScript};
  constexpr std::array kStyles = {kUplotStyle, kPageStyle};
  std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += fmt::format(
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "script-src{}; style-src{}; base-uri 'none'; form-action 'none'\">\n",
      sources(kScripts), sources(kStyles));
  page +=
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>faultline report</title>\n";
  for (const PagePart& style : kStyles) page += fmt::format("<style>{}</style>\n", style.text);
  page += fmt::format("</head>\n<body>\n<!-- uPlot is part of this page:\n{}-->\n", kUplotLicence);
  page +=
      "<noscript>This report draws itself: it needs JavaScript, and nothing from the "
      "network.</noscript>\n<main id=\"report\"></main>\n";
  page += fmt::format("<script type=\"application/json\" id=\"data\">{}</script>\n",
                      data_of(data_json(folder, extras)));
  for (const PagePart& script : kScripts) page += fmt::format("<script>{}</script>\n", script.text);
  return page + "</body>\n</html>\n";
}

}  // namespace faultline
