// Where the bytes of packets lie that wait to be served: chains of small cells, so that 64 k queues
// of a few packets each cost what is in them and no more. Bytes only; owns no mbuf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace faultline {

class PacketStore {
 public:
  static constexpr std::uint32_t kCellBytes = 128;

  /// Room for `bytes` in cells. Memory is taken when first used.
  explicit PacketStore(std::uint64_t bytes);
  ~PacketStore();
  PacketStore(const PacketStore&) = delete;
  PacketStore& operator=(const PacketStore&) = delete;

  /// What `bytes` of a packet take.
  static constexpr std::uint64_t taken_by(std::uint64_t bytes) noexcept {
    return (bytes + kDataBytes - 1) / kDataBytes * kCellBytes;
  }

  /// A chain with room for `bytes`; 0 when there are not enough cells.
  std::uint32_t take(std::uint32_t bytes) noexcept;
  void give_back(std::uint32_t chain) noexcept;
  /// Gives back everything.
  void clear() noexcept;

  std::uint64_t bytes() const noexcept { return cells_in_use_ * kCellBytes; }

  /// Goes along a chain, copying in or out.
  class Cursor {
   public:
    Cursor(PacketStore& store, std::uint32_t chain) noexcept : store_(store), cell_(chain) {}
    void write(const void* from, std::uint32_t bytes) noexcept {
      go(bytes, [&](std::byte* place, std::uint32_t at, std::uint32_t count) {
        std::memcpy(place, static_cast<const std::byte*>(from) + at, count);
      });
    }
    void read(void* to, std::uint32_t bytes) noexcept {
      go(bytes, [&](const std::byte* place, std::uint32_t at, std::uint32_t count) {
        std::memcpy(static_cast<std::byte*>(to) + at, place, count);
      });
    }

   private:
    template <typename Copy>
    void go(std::uint32_t bytes, const Copy& copy) noexcept {
      for (std::uint32_t done = 0; done < bytes;) {
        if (used_ == kDataBytes) {
          cell_ = store_.cell(cell_).next;
          used_ = 0;
        }
        const std::uint32_t left = bytes - done;
        const std::uint32_t count = left < kDataBytes - used_ ? left : kDataBytes - used_;
        copy(store_.cell(cell_).data + used_, done, count);
        used_ += count;
        done += count;
      }
    }

    PacketStore& store_;
    std::uint32_t cell_;
    std::uint32_t used_ = 0;
  };

 private:
  static constexpr std::uint32_t kDataBytes = kCellBytes - 4;
  struct Cell {
    std::uint32_t next;  ///< place plus one; 0: the last
    std::byte data[kDataBytes];
  };
  static_assert(sizeof(Cell) == kCellBytes);

  Cell& cell(std::uint32_t place) noexcept { return cells_[place - 1]; }

  Cell* cells_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t used_ = 0;  ///< cells that were handed out at least once
  std::uint32_t free_ = 0;  ///< place plus one of the cell given back last
  std::uint64_t cells_in_use_ = 0;
};

}  // namespace faultline
