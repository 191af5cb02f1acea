// What both ends of the Unix socket promise, over real sockets in a folder of its own: whose file
// it is, what a request may be, and what happens to clients that are slow, greedy or gone. No
// policy.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "control/http.hpp"
#include "control/http_client.hpp"
#include "control/http_server.hpp"

namespace faultline {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

using OwnedServer = std::unique_ptr<HttpServer>;

/// What a handler saw, told to the client.
HttpResponse echo(const HttpRequest& request) {
  HttpResponse response;
  response.content_type = "application/octet-stream";
  response.body = request.body;
  response.headers = {{"X-Method", request.method},
                      {"X-Path", request.path},
                      {"X-Type", request.content_type.empty() ? "-" : request.content_type},
                      {"X-Match", request.if_match.empty() ? "-" : request.if_match}};
  return response;
}

std::string header(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) {
      return value;
    }
  }
  return "(absent)";
}

/// A connection without any library, so that it can be as rude as it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    const timeval patience = {.tv_sec = 3, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    is_connected_ =
        connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool is_connected() const { return is_connected_; }

  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return false;
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Until `end` has come, the other side has gone, or 3 s are over.
  std::string read_until(std::string_view end) {
    std::string text;
    char block[4096];
    while (text.find(end) == std::string::npos) {
      const ssize_t got = recv(socket_, block, sizeof block, 0);
      if (got <= 0) {
        break;
      }
      text.append(block, static_cast<std::size_t>(got));
    }
    return text;
  }

  bool is_cut_within(milliseconds wait) {
    pollfd entry = {.fd = socket_, .events = POLLIN, .revents = 0};
    char byte = 0;
    return poll(&entry, 1, static_cast<int>(wait.count())) == 1 &&
           recv(socket_, &byte, 1, MSG_PEEK) <= 0;
  }

 private:
  int socket_;
  bool is_connected_ = false;
};

class ControlHttp : public testing::Test {
 public:
  ~ControlHttp() override { std::filesystem::remove_all(folder_); }

 protected:
  ControlHttp() {
    char name[] = "/tmp/faultline-http-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/control.sock";
  }

  OwnedServer serve(HttpServer::Handler handler = &echo, const HttpLimits& limits = {}) const {
    auto server = HttpServer::start(path_, std::move(handler), limits);
    EXPECT_TRUE(server.has_value()) << (server ? "" : to_line(server.error().front()));
    return server ? std::move(*server) : nullptr;
  }

  std::string why_not_served(const std::string& path) const {
    const auto server = HttpServer::start(path, &echo);
    return server ? "" : to_line(server.error().front());
  }

  bool is_there() const {
    struct stat file = {};
    return lstat(path_.c_str(), &file) == 0;
  }

  unsigned mode() const {
    struct stat file = {};
    EXPECT_EQ(lstat(path_.c_str(), &file), 0);
    return file.st_mode & 07777;
  }

  /// Binds the path and goes without removing it, as after a kill -9.
  int bind_here(int type) const {
    const int bound = socket(AF_UNIX, type, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), address.sun_path);
    EXPECT_EQ(bind(bound, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return bound;
  }

  std::string folder_;
  std::string path_;
};

// --- JSON ---

TEST(HttpProblem, HasTheShapeOfInterfaces) {
  const Problems problems = {
      {.file = "a.yaml",
       .line = 3,
       .column = 7,
       .message = "unknown key 'los'",
       .allowed = "loss, delay",
       .suggestion = "loss"},
      {.file = "", .message = "bad byte \xff", .allowed = "", .suggestion = ""}};
  const HttpResponse response = problem_response(422, "not valid \xc3", problems);
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.content_type, "application/problem+json");
  const auto json = nlohmann::json::parse(response.body);
  EXPECT_EQ(json.at("type"), "about:blank");
  EXPECT_EQ(json.at("title"), "Unprocessable Content");
  EXPECT_EQ(json.at("status"), 422);
  EXPECT_EQ(json.at("detail"), "not valid \xef\xbf\xbd");
  ASSERT_EQ(json.at("errors").size(), 2U);
  const auto& first = json.at("errors").at(0);
  EXPECT_EQ(first, nlohmann::json::parse(R"({"file":"a.yaml","line":3,"column":7,
      "message":"unknown key 'los'","allowed":"loss, delay","suggestion":"loss"})"));
  EXPECT_EQ(json.at("errors").at(1).at("line"), 0);
  EXPECT_EQ(nlohmann::json::parse(problems_to_json(problems)), json.at("errors"));
}

TEST(HttpProblem, WithoutErrorsHasAnEmptyArray) {
  EXPECT_EQ(problems_to_json({}), "[]");
  EXPECT_EQ(problem_response(404, "no such rule").body,
            R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no such rule",)"
            R"("errors":[]})");
}

// --- Requests and answers ---

TEST_F(ControlHttp, CarriesARequestThereAndAnAnswerBack) {
  const auto server = serve();
  std::string body = "rules:\n";
  body.push_back('\0');
  body += "\xff";
  const HttpResult result = http_call({.socket_path = path_,
                                       .method = "PATCH",
                                       .path = "/v1/rules/" + url_part("wan %2/ü") + "?x=1",
                                       .body = body,
                                       .content_type = "Application/YAML ; charset=utf-8",
                                       .if_match = "\"3\""});
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.why_not, "");
  EXPECT_EQ(result.response.status, 200);
  EXPECT_EQ(result.response.content_type, "application/octet-stream");
  EXPECT_EQ(result.response.body, body);
  EXPECT_EQ(header(result.response, "X-Method"), "PATCH");
  EXPECT_EQ(header(result.response, "X-Path"), "/v1/rules/wan %2/ü");
  EXPECT_EQ(header(result.response, "X-Type"), "application/yaml");
  EXPECT_EQ(header(result.response, "X-Match"), "\"3\"");
  EXPECT_EQ(header(result.response, "Content-Length"), std::to_string(body.size()));
}

TEST_F(ControlHttp, MakesUpNeitherTypeNorBody) {
  const auto server = serve();
  for (const char* method : {"GET", "PUT", "POST", "DELETE", "PATCH", "BREW"}) {
    const HttpResult result = http_call(path_, method, "/v1/status");
    ASSERT_TRUE(result.connected) << result.why_not;
    EXPECT_EQ(header(result.response, "X-Method"), method);
    EXPECT_EQ(header(result.response, "X-Type"), "-");
    EXPECT_EQ(result.response.body, "");
  }
}

TEST_F(ControlHttp, AnswersHeadAsGetWithoutTheBody) {
  const auto server = serve([](const HttpRequest& request) {
    return HttpResponse{
        .status = 200, .content_type = "text/plain", .body = request.method, .headers = {}};
  });
  const HttpResult result = http_call(path_, "HEAD", "/");
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.response.body, "");
  EXPECT_EQ(header(result.response, "Content-Length"), "3");
}

TEST_F(ControlHttp, AnswersWithoutContent) {
  const auto server = serve([](const HttpRequest&) {
    return HttpResponse{.status = 204, .content_type = "", .body = "", .headers = {}};
  });
  const HttpResult result = http_call(path_, "DELETE", "/v1/partition");
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.response.status, 204);
  EXPECT_EQ(result.response.content_type, "");
}

TEST_F(ControlHttp, CarriesALargeAnswer) {
  const std::string large(8 << 20, 'x');
  const auto server = serve([&](const HttpRequest&) {
    return HttpResponse{.status = 200, .content_type = "text/plain", .body = large, .headers = {}};
  });
  const HttpResult result = http_call(path_, "GET", "/");
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.response.body == large, true);
}

TEST_F(ControlHttp, KnowsItsPeer) {
  Peer peer = {.user = 12345, .group = 12345, .process = 0};
  const auto server = serve([&](const HttpRequest& request) {
    peer = request.peer;
    return HttpResponse{};
  });
  ASSERT_TRUE(http_call(path_, "GET", "/").connected);
  EXPECT_EQ(peer.user, geteuid());
  EXPECT_EQ(peer.group, getegid());
  EXPECT_EQ(peer.process, getpid());
}

TEST_F(ControlHttp, RefusesPathsThatCannotBeDecoded) {
  const auto server = serve();
  for (const char* path : {"/v1/rules%00x", "/v1/%zz", "/v1/%4", "/%"}) {
    const HttpResult result = http_call(path_, "GET", path);
    ASSERT_TRUE(result.connected) << result.why_not;
    EXPECT_EQ(result.response.status, 400) << path;
  }
}

TEST_F(ControlHttp, TurnsAHandlersFailureIntoAnAnswer) {
  const auto server = serve([](const HttpRequest& request) -> HttpResponse {
    if (request.path == "/memory") {
      throw std::bad_alloc();
    }
    if (request.path == "/odd") {
      throw 7;
    }
    HttpResponse response;
    response.status = request.path == "/status" ? 42 : 200;
    response.headers = {{"X-Split", "a\r\nX-Other: b"}};
    return response;
  });
  for (const char* path : {"/memory", "/odd", "/status", "/split"}) {
    const HttpResult result = http_call(path_, "GET", path);
    ASSERT_TRUE(result.connected) << result.why_not;
    EXPECT_EQ(result.response.status, 500) << path;
    EXPECT_EQ(result.response.content_type, "application/problem+json");
    EXPECT_EQ(header(result.response, "X-Other"), "(absent)");
  }
}

TEST_F(ControlHttp, TakesNoSignalsInTheHandlersThread) {
  sigset_t blocked;
  sigemptyset(&blocked);
  const auto server = serve([&](const HttpRequest&) {
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return HttpResponse{};
  });
  ASSERT_TRUE(http_call(path_, "GET", "/").connected);
  EXPECT_EQ(sigismember(&blocked, SIGTERM), 1);
  EXPECT_EQ(sigismember(&blocked, SIGINT), 1);
  EXPECT_EQ(sigismember(&blocked, SIGSEGV), 0);
  sigset_t own;
  pthread_sigmask(SIG_BLOCK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
}

// --- Sizes ---

TEST_F(ControlHttp, TakesAMebibyteAndNotAByteMore) {
  const auto server = serve();
  const std::string largest(kHttpBodyBytesMax, 'a');
  HttpResult result = http_call(path_, "PUT", "/v1/policy", largest, "application/yaml");
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.response.status, 200);
  EXPECT_EQ(result.response.body == largest, true);
  for (int round = 0; round < 20; ++round) {  // an answer that overtakes the body must not be lost
    result = http_call(path_, "PUT", "/v1/policy", largest + "a", "application/yaml");
    ASSERT_TRUE(result.connected) << result.why_not;
    EXPECT_EQ(result.response.status, 413);
    EXPECT_EQ(result.response.content_type, "application/problem+json");
    EXPECT_EQ(nlohmann::json::parse(result.response.body).at("status"), 413);
  }
}

TEST_F(ControlHttp, TakesAChunkedBody) {
  const auto server = serve();
  RawClient client(path_);
  ASSERT_TRUE(
      client.write("PUT /v1/policy HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"));
  EXPECT_NE(client.read_until("hello, world").find("HTTP/1.1 200"), std::string::npos);
}

TEST_F(ControlHttp, RefusesAChunkedBodyAsSoonAsItIsTooLarge) {
  std::atomic<int> calls = 0;
  const auto server = serve([&](const HttpRequest&) {
    ++calls;
    return HttpResponse{};
  });
  RawClient client(path_);
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'c') + "\r\n";
  ASSERT_TRUE(client.write("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int piece = 0; piece < 16; ++piece) {
    ASSERT_TRUE(client.write(chunk));
  }
  EXPECT_FALSE(client.is_cut_within(milliseconds(50)));  // a mebibyte: still fine
  ASSERT_TRUE(client.write("1\r\nx\r\n"));
  const std::string answer = client.read_until("errors");
  EXPECT_EQ(answer.rfind("HTTP/1.1 413 ", 0), 0U) << answer;
  EXPECT_TRUE(client.write(chunk));  // the rest is read, so that nobody's pipe breaks
  EXPECT_TRUE(client.write("0\r\n\r\n"));
  EXPECT_TRUE(client.is_cut_within(milliseconds(2000)));
  EXPECT_EQ(calls, 0);
}

TEST_F(ControlHttp, RefusesALargeLengthBeforeTheBody) {
  const auto server = serve();
  for (const char* length : {"1048577", "99999999999999999999999", "18446744073709551615"}) {
    RawClient client(path_);
    ASSERT_TRUE(client.write(
        fmt::format("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", length)));
    const std::string answer = client.read_until("\r\n\r\n");
    EXPECT_EQ(answer.rfind("HTTP/1.1 4", 0), 0U) << length << answer;
  }
  RawClient polite(path_);
  ASSERT_TRUE(
      polite.write("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                   "Content-Length: 1048577\r\n\r\n"));
  const std::string answer = polite.read_until("errors");
  EXPECT_EQ(answer.rfind("HTTP/1.1 413 ", 0), 0U) << answer;
  EXPECT_EQ(answer.find("100 Continue"), std::string::npos);
}

TEST_F(ControlHttp, SurvivesLiesAndNonsense) {
  const auto server = serve();
  for (const char* text :
       {"", "\r\n\r\n", "GET", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nabcdef\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc",
        "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n"}) {
    RawClient client(path_);
    client.write(text);
  }
  RawClient long_header(path_);
  long_header.write("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'h') + "\r\n\r\n");
  RawClient long_path(path_);
  long_path.write("GET /" + std::string(100'000, 'p') + " HTTP/1.1\r\n\r\n");
  const HttpResult result = http_call(path_, "GET", "/");
  EXPECT_TRUE(result.connected) << result.why_not;
}

// --- Many, slow and gone ---

TEST_F(ControlHttp, ServesTwoClientsAtOnce) {
  std::atomic<int> inside = 0;
  std::atomic<bool> overlapped = false;
  const auto server = serve([&](const HttpRequest& request) {
    overlapped = overlapped || ++inside > 1;
    HttpResponse response = echo(request);
    --inside;
    return response;
  });
  std::atomic<int> right = 0;
  const auto ask = [&](const std::string& name) {
    for (int count = 0; count < 200; ++count) {
      const std::string body = fmt::format("{}-{}", name, count);
      right += http_call(path_, "PUT", "/", body, "text/plain").response.body == body ? 1 : 0;
    }
  };
  std::thread other(ask, "b");
  ask("a");
  other.join();
  EXPECT_EQ(right, 400);
  EXPECT_FALSE(overlapped);
}

TEST_F(ControlHttp, CutsAByteNowAndThen) {
  const auto server = serve(&echo, {.step_max = milliseconds(300)});
  RawClient slow_header(path_);
  RawClient slow_body(path_);
  ASSERT_TRUE(slow_body.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"));
  const auto start = steady_clock::now();
  while (!slow_header.is_cut_within(milliseconds(25)) ||
         !slow_body.is_cut_within(milliseconds(25))) {
    slow_header.write("G");
    slow_body.write("b");
    ASSERT_LT(steady_clock::now() - start, milliseconds(3000));
  }
  EXPECT_GE(steady_clock::now() - start, milliseconds(250));
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

TEST_F(ControlHttp, CutsAClientThatTakesNoAnswer) {
  const auto server = serve(
      [](const HttpRequest&) {
        HttpResponse response;
        response.body = std::string(8 << 20, 'x');
        return response;
      },
      {.step_max = milliseconds(200)});
  RawClient client(path_);
  ASSERT_TRUE(client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_LT(client.read_until("(never)").size(), std::size_t{8} << 20);
}

TEST_F(ControlHttp, WaitsForASlowHandler) {
  const auto server = serve(
      [](const HttpRequest&) {
        std::this_thread::sleep_for(milliseconds(500));
        return HttpResponse{};
      },
      {.step_max = milliseconds(100)});
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

TEST_F(ControlHttp, IdleConnectionsDoNotLockOthersOut) {
  const auto server = serve(&echo, {.crowded_idle_max = milliseconds(50)});
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int count = 0; count < 500; ++count) {
    idle.push_back(std::make_unique<RawClient>(path_));
    ASSERT_TRUE(idle.back()->is_connected());
  }
  const auto start = steady_clock::now();
  const HttpResult result = http_call(path_, "GET", "/v1/status");
  EXPECT_TRUE(result.connected) << result.why_not;
  EXPECT_LT(steady_clock::now() - start, milliseconds(5000));
}

TEST_F(ControlHttp, AClientThatGoesAwayHarmsNobody) {
  const auto server = serve([](const HttpRequest&) {
    std::this_thread::sleep_for(milliseconds(20));
    HttpResponse response;
    response.body = std::string(1 << 20, 'x');
    return response;
  });
  for (int count = 0; count < 5; ++count) {
    RawClient client(path_);
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

// --- The end ---

TEST_F(ControlHttp, StopsInTimeWithIdleAndHalfConnections) {
  auto server = serve();
  RawClient idle(path_);
  RawClient kept(path_);
  kept.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  kept.read_until("\r\n\r\n");
  RawClient half(path_);
  half.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
  const auto start = steady_clock::now();
  server.reset();
  EXPECT_LT(steady_clock::now() - start, milliseconds(1000));
  EXPECT_TRUE(idle.is_cut_within(milliseconds(0)));
  EXPECT_TRUE(kept.is_cut_within(milliseconds(0)));
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ControlHttp, StopsWhileNonsenseArrives) {
  for (int round = 0; round < 50; ++round) {  // libmicrohttpd 0.9.75 must not see it that late
    auto server = serve();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int count = 0; count < 10; ++count) {
      clients.push_back(std::make_unique<RawClient>(path_));
      clients.back()->write("PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
    }
    server.reset();
  }
}

TEST_F(ControlHttp, FinishesTheAnswerUnderWay) {
  std::atomic<bool> is_inside = false;
  auto server = serve([&](const HttpRequest&) {
    is_inside = true;
    std::this_thread::sleep_for(milliseconds(700));  // longer than the grace
    HttpResponse response;
    response.body = std::string(4 << 20, 'x');
    return response;
  });
  HttpResult result;
  std::thread client([&] { result = http_call(path_, "GET", "/"); });
  while (!is_inside) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  server.reset();
  client.join();
  EXPECT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(result.response.body.size(), std::size_t{4} << 20);
}

TEST_F(ControlHttp, LeavesASuccessorsFileAlone) {
  auto server = serve();
  ASSERT_EQ(unlink(path_.c_str()), 0);
  const auto successor = serve();
  server.reset();
  EXPECT_TRUE(is_there());
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

// --- Whose socket it is ---

TEST_F(ControlHttp, ModeIs0660WhateverTheUmask) {
  for (const mode_t mask : {0U, 022U, 0777U}) {
    const mode_t before = umask(mask);
    const auto server = serve();
    umask(before);
    EXPECT_EQ(mode(), 0660U);
  }
}

TEST_F(ControlHttp, ReplacesWhatAKilledDaemonLeft) {
  close(bind_here(SOCK_STREAM));
  {
    const auto server = serve();
    EXPECT_TRUE(http_call(path_, "GET", "/").connected);
  }
  EXPECT_FALSE(is_there());
  const pid_t child = fork();
  if (child == 0) {
    const auto server = HttpServer::start(path_, &echo);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(is_there());
  const auto server = serve();
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

TEST_F(ControlHttp, RefusesASocketInUse) {
  const auto server = serve();
  EXPECT_NE(why_not_served(path_).find("socket in use"), std::string::npos);
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

TEST_F(ControlHttp, RefusesASocketOfAnotherKindInUse) {
  const int datagrams = bind_here(SOCK_DGRAM);
  EXPECT_NE(why_not_served(path_).find("socket in use"), std::string::npos);
  EXPECT_TRUE(is_there());
  close(datagrams);
}

TEST_F(ControlHttp, OnlyOneOfManyStarts) {
  constexpr int kRivals = 8;
  std::vector<OwnedServer> servers(kRivals);
  std::vector<std::thread> threads;
  threads.reserve(kRivals);
  std::atomic<int> told = 0;
  close(bind_here(SOCK_STREAM));  // the stale file is what they could fight about
  for (int rival = 0; rival < kRivals; ++rival) {
    threads.emplace_back([&, rival] {
      auto server = HttpServer::start(path_, &echo);
      if (server) {
        servers[static_cast<std::size_t>(rival)] = std::move(*server);
      } else if (server.error().front().message.find("socket in use") != std::string::npos) {
        ++told;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(std::count(servers.begin(), servers.end(), nullptr), kRivals - 1);
  EXPECT_EQ(told, kRivals - 1);
  EXPECT_TRUE(http_call(path_, "GET", "/").connected);
}

TEST_F(ControlHttp, LeavesAloneWhatIsNoSocket) {
  std::ofstream(path_) << "precious";
  EXPECT_NE(why_not_served(path_).find("not a socket"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
  const std::string link = folder_ + "/link.sock";
  ASSERT_EQ(symlink("/nowhere/at/all", link.c_str()), 0);
  EXPECT_NE(why_not_served(link).find("not a socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  const std::string inner = folder_ + "/inner";
  ASSERT_EQ(mkdir(inner.c_str(), 0700), 0);
  EXPECT_NE(why_not_served(inner).find("not a socket"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_directory(inner));
}

TEST_F(ControlHttp, RefusesAFolderThatOthersCanWriteTo) {
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_NE(why_not_served(path_).find("sticky bit"), std::string::npos);
  EXPECT_FALSE(is_there());
  ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  EXPECT_EQ(why_not_served(path_), "");
}

TEST_F(ControlHttp, RefusesPathsThatCannotBe) {
  EXPECT_NE(why_not_served(folder_ + "/" + std::string(108 - folder_.size() - 1, 's'))
                .find("at most 107"),
            std::string::npos);
  const std::string longest = folder_ + "/" + std::string(107 - folder_.size() - 1, 's');
  EXPECT_EQ(why_not_served(longest), "");
  EXPECT_NE(why_not_served(folder_ + "/missing/control.sock").find("No such file"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/missing"));
  EXPECT_NE(why_not_served(""), "");
  EXPECT_NE(why_not_served(folder_ + "/"), "");
  EXPECT_NE(why_not_served(path_ + std::string(1, '\0') + "x"), "");
}

// --- The client without a server ---

TEST_F(ControlHttp, ClientSaysWhyThereIsNobody) {
  HttpResult result = http_call(path_, "GET", "/");
  EXPECT_FALSE(result.connected);
  EXPECT_NE(result.why_not.find("there is no socket"), std::string::npos) << result.why_not;
  close(bind_here(SOCK_STREAM));
  result = http_call(path_, "GET", "/");
  EXPECT_FALSE(result.connected);
  EXPECT_NE(result.why_not.find("nothing listens"), std::string::npos) << result.why_not;
  EXPECT_FALSE(result.permission_denied);
  EXPECT_FALSE(result.timed_out);
}

TEST_F(ControlHttp, ClientTellsAbsentPermission) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can become somebody else";
  }
  const int listener = bind_here(SOCK_STREAM);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0660), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  const pid_t child = fork();
  if (child == 0) {
    const bool is_other = setgid(65534) == 0 && setuid(65534) == 0;
    const HttpResult result = http_call(path_, "GET", "/");
    _exit(is_other && result.permission_denied && !result.connected ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(listener);
}

TEST_F(ControlHttp, ClientTellsAServerThatGoesAway) {
  const int listener = bind_here(SOCK_STREAM);
  ASSERT_EQ(listen(listener, 8), 0);
  for (const char* text : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 2"}) {
    std::thread server([&] {
      const int client = accept(listener, nullptr, nullptr);
      char block[1024];
      EXPECT_GT(recv(client, block, sizeof block, 0), 0);
      send(client, text, std::string_view(text).size(), MSG_NOSIGNAL);
      close(client);
    });
    const HttpResult result = http_call(path_, "GET", "/");
    server.join();
    EXPECT_FALSE(result.connected);
    EXPECT_NE(result.why_not.find("went away"), std::string::npos) << text << result.why_not;
  }
  close(listener);
}

TEST_F(ControlHttp, ClientWaitsNoLongerThanAsked) {
  const int listener = bind_here(SOCK_STREAM);
  ASSERT_EQ(listen(listener, 8), 0);  // and never accepts
  for (const int timeout_ms : {100, 0, -5}) {
    const auto start = steady_clock::now();
    const HttpResult result = http_call(path_, "GET", "/", "", "", timeout_ms);
    EXPECT_LT(steady_clock::now() - start, milliseconds(2000));
    EXPECT_FALSE(result.connected);
    EXPECT_TRUE(result.timed_out) << result.why_not;
  }
  close(listener);
}

TEST_F(ControlHttp, ClientGivesUpOnAFullQueue) {
  const int listener = bind_here(SOCK_STREAM);
  ASSERT_EQ(listen(listener, 0), 0);
  const RawClient first(path_);
  const auto start = steady_clock::now();
  const HttpResult result = http_call(path_, "GET", "/", "", "", 300);
  EXPECT_LT(steady_clock::now() - start, milliseconds(2000));
  EXPECT_FALSE(result.connected);
  EXPECT_NE(result.why_not, "");
  close(listener);
}

TEST_F(ControlHttp, ClientRefusesWhatIsNoRequest) {
  const auto server = serve();
  EXPECT_FALSE(http_call("", "GET", "/").connected);
  EXPECT_FALSE(http_call(std::string(200, 's'), "GET", "/").connected);
  EXPECT_FALSE(http_call(path_, "", "/").connected);
  EXPECT_FALSE(http_call(path_, "GET / HTTP/1.1\r\nX: ", "/").connected);
  EXPECT_FALSE(http_call(path_, "GET", "@evil.example/").connected);
  EXPECT_FALSE(http_call(path_, "PUT", "/", "x", "a\r\nX-Other: b").connected);
  EXPECT_FALSE(http_call({.socket_path = path_,
                          .method = "GET",
                          .path = "/",
                          .body = "",
                          .content_type = "",
                          .if_match = "a\nb"})
                   .connected);
}

TEST_F(ControlHttp, ClientAsksNoProxy) {
  setenv("http_proxy", "http://127.0.0.1:9", 1);
  setenv("ALL_PROXY", "socks5://127.0.0.1:9", 1);
  const auto server = serve();
  const HttpResult result = http_call(path_, "GET", "/../v1/./status");
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
  ASSERT_TRUE(result.connected) << result.why_not;
  EXPECT_EQ(header(result.response, "X-Path"), "/../v1/./status");
}

TEST_F(ControlHttp, ClientTakesALargeBodyWithoutDelay) {
  const auto server = serve();
  const auto start = steady_clock::now();
  EXPECT_TRUE(http_call(path_, "POST", "/", std::string(1 << 20, 'x'), "text/plain").connected);
  EXPECT_LT(steady_clock::now() - start, milliseconds(900));  // curl's wait for 100 is 1 s
}

TEST(UrlPart, EncodesAllThatIsNotUnreserved) {
  EXPECT_EQ(url_part("wan-1_a.b~c"), "wan-1_a.b~c");
  EXPECT_EQ(url_part("a b/c?d#e%f"), "a%20b%2Fc%3Fd%23e%25f");
  EXPECT_EQ(url_part("\xc3\xbc"), "%C3%BC");
}

}  // namespace
}  // namespace faultline
