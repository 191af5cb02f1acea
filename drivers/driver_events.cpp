// net_memif handles a peer's coming and going in DPDK's interrupt thread: it unmaps the rings while
// a worker reads them, which ends the process (DPDK 22.11; testpmd dies of it, too). The driver
// registers its handlers with rte_intr_callback_register. The dynamic linker finds the functions of
// that name below first; they put a gate before the driver's handlers and pass everything else on.
#include "drivers/driver_events.hpp"

#include <dlfcn.h>
#include <rte_interrupts.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/check.hpp"
#include "dataplane/driver_gate.hpp"

namespace faultline {
namespace {

constexpr std::size_t kHandlersMax = 8;  ///< different functions; net_memif has two

struct Handlers {
  std::mutex access;
  std::mutex running;  ///< one of them at a time
  std::array<rte_intr_callback_fn, kHandlersMax> held{};
};
Handlers& handlers() {
  static Handlers all;
  return all;
}

/// Stands for the handler at `kPlace`.
template <std::size_t kPlace>
void run_held(void* argument) {
  rte_intr_callback_fn handler = nullptr;
  {
    const std::lock_guard<std::mutex> lock(handlers().access);
    handler = handlers().held[kPlace];
  }
  const std::lock_guard<std::mutex> one_at_a_time(handlers().running);
  DriverGate::instance().change_ports([&] { handler(argument); });
}

template <std::size_t... kPlaces>
constexpr std::array<rte_intr_callback_fn, kHandlersMax> stand_ins(
    std::index_sequence<kPlaces...>) {
  return {&run_held<kPlaces>...};
}
constexpr auto kStandIns = stand_ins(std::make_index_sequence<kHandlersMax>());

bool must_be_held(rte_intr_callback_fn handler) {
  Dl_info where{};
  return dladdr(reinterpret_cast<const void*>(handler), &where) != 0 &&
         where.dli_fname != nullptr && std::strstr(where.dli_fname, "librte_net_memif") != nullptr;
}

/// What DPDK is told in the handler's place.
rte_intr_callback_fn stand_in_for(rte_intr_callback_fn handler) {
  if (!must_be_held(handler))
    return handler;
  const std::lock_guard<std::mutex> lock(handlers().access);
  for (std::size_t place = 0; place < kHandlersMax; ++place) {
    rte_intr_callback_fn& held = handlers().held[place];
    if (held == nullptr)
      held = handler;
    if (held == handler)
      return kStandIns[place];
  }
  FAULTLINE_CHECK(false);
}

template <typename Function>
Function* of_dpdk(const char* name) {
  auto* function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  FAULTLINE_CHECK(function != nullptr);
  return function;
}

}  // namespace

void hold_driver_events() {
  // The functions below are in the program if this one is; and they must be the ones found.
  FAULTLINE_CHECK(dlsym(RTLD_DEFAULT, "rte_intr_callback_register") ==
                  reinterpret_cast<void*>(&rte_intr_callback_register));
}

}  // namespace faultline

extern "C" {

int rte_intr_callback_register(const rte_intr_handle* handle, rte_intr_callback_fn handler,
                               void* argument) {
  static auto* const real =
      faultline::of_dpdk<decltype(rte_intr_callback_register)>("rte_intr_callback_register");
  return real(handle, faultline::stand_in_for(handler), argument);
}

int rte_intr_callback_unregister(const rte_intr_handle* handle, rte_intr_callback_fn handler,
                                 void* argument) {
  static auto* const real =
      faultline::of_dpdk<decltype(rte_intr_callback_unregister)>("rte_intr_callback_unregister");
  return real(handle, faultline::stand_in_for(handler), argument);
}

int rte_intr_callback_unregister_pending(const rte_intr_handle* handle,
                                         rte_intr_callback_fn handler, void* argument,
                                         rte_intr_unregister_callback_fn when_gone) {
  static auto* const real = faultline::of_dpdk<decltype(rte_intr_callback_unregister_pending)>(
      "rte_intr_callback_unregister_pending");
  return real(handle, faultline::stand_in_for(handler), argument, when_gone);
}

}  // extern "C"
