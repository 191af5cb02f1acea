// What went wrong, where, what is allowed there, and what was probably meant. Every check of a
// user's input collects Problems so that all of them are told at once; nothing here prints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace faultline {

/// A place in a user's file. Lines and columns count from 1; line 0 means "the file as a whole".
/// `file` must outlive the mark (see intern_file_name).
struct Mark {
  std::string_view file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

struct Problem {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string message;     ///< what was found
  std::string allowed;     ///< what is allowed there; may be empty
  std::string suggestion;  ///< the nearest known word; may be empty
};

using Problems = std::vector<Problem>;

template <typename T>
using Result = tl::expected<T, Problems>;

/// Keeps a file's name for as long as the process runs, so that marks can point to it.
std::string_view intern_file_name(std::string_view name);

Problem problem_at(const Mark& mark, std::string message, std::string allowed = {},
                   std::string suggestion = {});

/// A Result that failed with one problem that has no place in a file.
tl::unexpected<Problems> failure(std::string message, std::string allowed = {});

/// `FILE:LINE:COL: error: message; allowed; did you mean 'X'?` (parts that are empty are left out).
std::string to_line(const Problem& problem);

/// A part of the user's text for a message, in single quotes and shortened to 80 bytes.
std::string in_quotes(std::string_view text);

/// The word of `known` nearest to `word` by edit distance (insert, delete, replace, swap of
/// neighbours), or empty where none is near: at most 1 edit up to 4 letters, 2 up to 8, else 3.
std::string nearest_word(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace faultline
