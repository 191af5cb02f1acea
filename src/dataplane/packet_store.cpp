// Cells in chains.
#include "dataplane/packet_store.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "base/check.hpp"

namespace faultline {

PacketStore::PacketStore(std::uint64_t bytes) {
  capacity_ =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(bytes / kCellBytes, 1, UINT32_MAX - 1));
  void* memory = mmap(nullptr, std::uint64_t{capacity_} * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FAULTLINE_CHECK(memory != MAP_FAILED);
  cells_ = static_cast<Cell*>(memory);
}

PacketStore::~PacketStore() {
  munmap(cells_, std::uint64_t{capacity_} * sizeof(Cell));
}

std::uint32_t PacketStore::take(std::uint32_t bytes) noexcept {
  const std::uint64_t wanted = taken_by(bytes) / kCellBytes;
  if (cells_in_use_ + wanted > capacity_)
    return 0;
  std::uint32_t chain = 0;
  for (std::uint64_t count = 0; count < wanted; ++count) {
    const std::uint32_t place = free_ != 0 ? free_ : ++used_;
    if (free_ != 0)
      free_ = cell(place).next;
    cell(place).next = chain;
    chain = place;
  }
  cells_in_use_ += wanted;
  return chain;
}

void PacketStore::give_back(std::uint32_t chain) noexcept {
  while (chain != 0) {
    const std::uint32_t next = cell(chain).next;
    cell(chain).next = free_;
    free_ = chain;
    --cells_in_use_;
    chain = next;
  }
}

void PacketStore::clear() noexcept {
  used_ = 0;
  free_ = 0;
  cells_in_use_ = 0;
}

}  // namespace faultline
