// A table of the link types that captures are met with.
#include "record/link_type.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace faultline {
namespace {

constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
    {0, "NULL"},
    {1, "ETHERNET"},
    {3, "AX25"},
    {6, "IEEE802_5"},
    {7, "ARCNET_BSD"},
    {8, "SLIP"},
    {9, "PPP"},
    {10, "FDDI"},
    {11, "ATM_RFC1483"},
    {12, "RAW"},
    {14, "RAW"},
    {19, "ATM_CLIP"},
    {50, "PPP_HDLC"},
    {51, "PPP_ETHER"},
    {99, "SYMANTEC_FIREWALL"},
    {100, "ATM_RFC1483"},
    {101, "RAW"},
    {104, "C_HDLC"},
    {105, "IEEE802_11"},
    {107, "FRELAY"},
    {108, "LOOP"},
    {109, "ENC"},
    {113, "LINUX_SLL"},
    {114, "LTALK"},
    {117, "PFLOG"},
    {119, "IEEE802_11_PRISM"},
    {122, "IP_OVER_FC"},
    {123, "SUNATM"},
    {127, "RADIOTAP"},
    {129, "ARCNET_LINUX"},
    {130, "JUNIPER_MLPPP"},
    {131, "JUNIPER_MLFR"},
    {132, "JUNIPER_ES"},
    {133, "JUNIPER_GGSN"},
    {134, "JUNIPER_MFR"},
    {135, "JUNIPER_ATM2"},
    {136, "JUNIPER_SERVICES"},
    {137, "JUNIPER_ATM1"},
    {138, "APPLE_IP_OVER_IEEE1394"},
    {139, "MTP2_WITH_PHDR"},
    {140, "MTP2"},
    {141, "MTP3"},
    {143, "DOCSIS"},
    {144, "LINUX_IRDA"},
    {163, "IEEE802_11_AVS"},
    {164, "JUNIPER_MONITOR"},
    {165, "BACNET_MS_TP"},
    {166, "PPP_PPPD"},
    {167, "JUNIPER_PPPOE"},
    {168, "JUNIPER_PPPOE_ATM"},
    {169, "GPRS_LLC"},
    {174, "JUNIPER_PIC_PEER"},
    {177, "LINUX_LAPD"},
    {178, "JUNIPER_ETHER"},
    {179, "JUNIPER_PPP"},
    {180, "JUNIPER_FRELAY"},
    {181, "JUNIPER_CHDLC"},
    {182, "MFR"},
    {183, "JUNIPER_VP"},
    {187, "BLUETOOTH_HCI_H4"},
    {189, "USB_LINUX"},
    {192, "PPI"},
    {194, "JUNIPER_ISM"},
    {195, "IEEE802_15_4_WITHFCS"},
    {200, "JUNIPER_ST"},
    {201, "BLUETOOTH_HCI_H4_WITH_PHDR"},
    {203, "LAPD"},
    {204, "PPP_WITH_DIR"},
    {205, "C_HDLC_WITH_DIR"},
    {206, "FRELAY_WITH_DIR"},
    {215, "IEEE802_15_4_NONASK_PHY"},
    {220, "USB_LINUX_MMAPPED"},
    {224, "FC_2"},
    {226, "IPNET"},
    {227, "CAN_SOCKETCAN"},
    {228, "IPV4"},
    {229, "IPV6"},
    {230, "IEEE802_15_4_NOFCS"},
    {231, "DBUS"},
    {232, "JUNIPER_VS"},
    {233, "JUNIPER_SRX_E2E"},
    {234, "JUNIPER_FIBRECHANNEL"},
    {238, "JUNIPER_ATM_CEMIC"},
    {239, "NFLOG"},
    {240, "NETANALYZER"},
    {242, "IPOIB"},
    {243, "MPEG_2_TS"},
    {247, "INFINIBAND"},
    {248, "SCTP"},
    {249, "USBPCAP"},
    {251, "BLUETOOTH_LE_LL"},
    {253, "NETLINK"},
    {254, "BLUETOOTH_LINUX_MONITOR"},
    {256, "BLUETOOTH_LE_LL_WITH_PHDR"},
    {258, "PKTAP"},
    {259, "EPON"},
    {266, "USB_DARWIN"},
    {271, "VSOCK"},
    {272, "NORDIC_BLE"},
    {276, "LINUX_SLL2"},
    {278, "OPENVIZSLA"},
    {281, "DSA_TAG_BRCM"},
    {282, "DSA_TAG_BRCM_PREPEND"},
    {283, "IEEE802_15_4_TAP"},
    {284, "DSA_TAG_DSA"},
    {285, "DSA_TAG_EDSA"},
    {288, "USB_2_0"},
};

}  // namespace

std::string link_type_text(std::uint32_t link_type) {
  if (link_type >= 147 && link_type <= 162)
    return fmt::format("USER{} ({})", link_type - 147, link_type);
  for (const auto& [number, name] : kNames)
    if (number == link_type)
      return fmt::format("{} ({})", name, link_type);
  return std::to_string(link_type);
}

}  // namespace faultline
