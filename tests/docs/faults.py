"""Which tests hold each page of docs/faults: their names. One of them at least runs the fault
in `simulate`."""

FAULTS = {
    "loss_bernoulli": "test_the_lost_are_the_models ImpairLossBernoulli.TablesForASeed",
    "loss_correlated": "test_correlated ImpairLossCorrelated.TablesForASeed",
    "loss_gilbert_elliott": "test_gilbert_elliott_by_rate_and_burst "
                            "ImpairLossGilbertElliott.TablesForASeed",
    "loss_markov4": "test_markov4 ImpairLossMarkov4.TablesForASeed",
    "loss_every": "test_every ImpairLossEvery.Numbers",
    "loss_list": "test_list ImpairLossList.NumbersAndRanges",
    "loss_burst": "test_burst ImpairLossBurst.ARunningBurstIsNotStartedAgain",
    "loss_outage": "test_outage_constant ImpairLossOutage.TablesForASeed",
    "loss_bit_error": "test_bit_error ImpairLossBitError.FramesArePaddedTo64Bytes",
    "loss_all": "test_all ImpairLossAll.EverythingIsLost",
    "delay": "test_delay_is_exact_and_loses_nothing test_the_field_is_the_models "
             "ImpairDelay.AddsItsTime",
    "reorder": "test_early test_late_by_time test_late_by_packets "
               "ImpairReorder.OneInGapIsEarly",
    "duplicate": "test_duplicates_are_the_models ImpairDuplicate.CopiesAreBytesAndTimes",
    "replay": "test_replayed_packets_are_the_models "
              "ImpairReplay.TheDiceSayWhoAndTheAgeWhen",
    "corrupt": "test_one_bit_where_it_was_asked_for test_bits_with_sums_mended_or_broken "
               "test_bursts test_words_that_change_places test_bytes_at_a_place_drawn "
               "test_bit_error_rates test_edits_are_the_models",
    "truncate": "test_a_rate_and_a_match_choose test_edits_follow_one_another",
    "mtu": "test_mtu test_mtu_cuts_as_rfc_791_says",
    "set": "test_edits_are_the_models test_edits_follow_one_another",
    "tcp": "test_edits_are_the_models test_tcp_reset",
    "icmp_unreachable": "test_unreachable test_what_must_not_be_answered PacketCraft.Errors",
    "clock": "test_ntp_is_the_models test_ptp_is_the_models test_ptp_by_its_correction "
             "test_one_direction_is_late ImpairClock.ASourceByMode ImpairClock.PtpByType "
             "ImpairClockLaw.TheLawInNanoseconds",
    "reject": "test_reject test_each_direction_is_answered_where_it_came_from",
    "mark_ce": "test_edits_are_the_models test_a_rate_and_a_match_choose",
    "partition": "test_a_cut_is_a_cut test_who_hears_whom test_groups_and_neighbours "
                 "ImpairPartition.NamedShapes",
    "pause": "test_a_paused_link_loses_nothing test_a_buffer_bounds_each_direction test_releases "
             "test_a_machine_says_nothing ImpairPause.NothingLeavesBeforeItIsOpened",
    "equivocate": "test_each_node_is_told_its_own test_a_group_hears_different_things "
                  "ImpairEquivocate.EachNodeHearsItsOwn",
    "crash": "test_a_host_is_silent_and_then_knows_nothing test_a_process_is_spoken_for "
             "ImpairCrash.AHost",
    "flap": "test_both_directions_by_turns test_jitter test_carriers_go_down_and_up "
            "ImpairFlap.DownAndUpInTurn",
    "stop_after": "test_stop_after ImpairStopAfter.NumbersUpToNPass",
    "inject": "test_rounds_at_their_instants test_a_capture_keeps_its_gaps "
              "test_forged_frames_are_the_models PacketForge.Vrrp",
    "rate": "test_fast_links_keep_their_mean_rate ImpairRate.Departures",
    "queue": "test_codel_drops_what_its_model_drops test_pie_drops_what_its_model_drops "
             "test_red_holds_its_average test_red_drops_what_its_figure_says "
             "test_head_drop_keeps_the_youngest ImpairQueue.Limits",
    "police": "test_police_is_a_token_bucket",
    "slot": "test_slots_open_as_the_model_says ImpairSlot.OneSlotInTurn",
    "link_trace": "test_a_recorded_link_serves_as_mahimahi_would",
}
