"""Which tests hold each statement of docs/semantics.md: their names, or "later: …" with the reason.
A test's name is that of a function, or Suite.Name of a GoogleTest."""

STATEMENTS = {
    "C1": "test_delays_of_a_rule_and_of_rules_add_up test_links_behind_delays "
          "ImpairDelay.AddsItsTime",
    "C2": "DataplaneDecide.RulesInFileOrderImpairmentsInTheOrderWritten "
          "test_delays_of_a_rule_and_of_rules_add_up",
    "C3": "test_a_change_is_at_a_time DataplaneDecide.RulesEndAtTheirTime "
          "test_bursts_change_nothing",
    "C4": "test_rates_see_survivors_only test_links_behind_delays",
    "C5": "test_links_behind_delays test_free_delay_before_a_loaded_rate",
    "C6": "test_links_behind_delays "
          "DataplaneHold.EqualReleasesLeaveByArrivalThenPortThenSequence",
    "C7": "test_directions_have_chains_of_their_own "
          "DataplaneDecide.EachDirectionHasAScopeOfItsOwn",
    "C8": "test_shared_is_one_state_for_both_directions",
    "C9": "test_a_chain_per_flow_is_indexed_by_the_flow test_a_link_per_address",
    "C10": "test_many_workers_become_one",
    "C11": "test_a_scope_that_workers_would_share_is_refused",
    "C12": "test_workers_change_nothing test_per_flow_survives_workers_and_bursts",
    "C13": "test_bursts_change_nothing test_workers_and_bursts_together "
           "DataplaneDecide.BurstSizeDoesNotMatter test_random_compositions",
    "C14": "DataplaneDecide.NumbersOfFlowsAndMatches test_the_lost_are_the_models",
    "C15": "test_a_drop_does_not_shift_later_dice",
    "C16": "test_rates_see_survivors_only",
    "C17": "test_a_chain_per_flow_is_indexed_by_the_flow "
           "test_chains_per_flow_count_all_its_packets",
    "C18": "DataplaneDecide.MatchNumbersCountWhatWasDroppedBefore "
           "test_a_drop_does_not_shift_later_dice",
    "C19": "test_every_counts_matches DataplaneDecide.MatchNumbersCountWhatWasDroppedBefore "
           "test_nth_and_first",
    "C20": "BaseDice.EveryPartOfTheNameMatters BaseDice.UniformFollowsTheLayout",
    "C21": "DataplaneDecide.ARuleMoreDoesNotMoveAnothersDice test_flows_are_independent",
    "C22": "test_draw_governs_memoryless_models_only",
    "C23": "test_loss_rate_is_what_a_rule_lost_of_what_it_matched",
    "C24": "test_the_lost_are_the_models PacketFlowKey.Parses",
    "C25": "test_every_fragment_draws_by_addresses",
    "C26": "test_dice_by_connection DataplaneConnectionTable.EphemeralPortsDoNotMatterToTheDice",
    "C27": "test_draw_arrival_numbers_packets_of_the_path",
    "C28": "test_fragments_follow_their_first test_fragments_without_their_first "
           "DataplaneFragmentTable.LaterFragmentsFollowTheFirstForTwoSeconds",
    "C29": "test_evicted_flows_go_on_where_they_were DataplaneFlowTable.CountsSurviveEviction",
    "C30": "DataplaneFlowTable.IdleFlowsExpireAndBusyOnesAreEvicted "
           "DataplaneFlowTable.AnIdleFlowThatNobodyPushedOutKeepsItsCount",
    "C31": "test_evicted_flows_go_on_where_they_were test_a_full_table_says_so "
           "DataplaneScopeTable.TheOneSeenLongestAgoMakesRoomAndIsCounted",
    "C32": "DataplaneCopies.WhatStandsBeforeBefallsAllAndBehindEach "
           "DataplaneCopies.DiceOfCopiesAreTheirOwn test_copies_have_dice_of_their_own "
           "test_copies_take_up_room_behind",
    "C33": "DataplaneHold.EqualReleasesLeaveByArrivalThenPortThenSequence "
           "test_equal_times_leave_in_order_of_ports",
    "C34": "test_what_would_leave_while_it_holds_is_lost test_a_fault_on_the_timeline",
    "C35": "ImpairDelay.ShorterDelayDoesNotReorder test_a_shorter_delay_does_not_reorder",
    "C36": "test_the_held_finish_under_their_policy DataplanePolicyUse.NeverSaysTooYoung",
    "C37": "test_the_field_goes_on_through_changes",
    "C38": "test_a_change_is_at_a_time DataplaneDecide.AdoptionMeetsTimesThatAreOver",
    "C39": "test_delay_is_never_early_and_ends_with_heal "
           "test_heal_sends_keeps_or_drops_what_is_held test_random_compositions",
    "C40": "test_digest test_digest_without_fma test_digests_of_other_builds "
           "BasePortableMath.TheSameBitsEverywhere",
    "C41": "PolicyCompile.TtlEndsARule test_ttl_ends_a_fault "
           "test_rules_end_by_default_when_applied",
    "C42": "test_final_stops_later_rules",
    "C43": "DataplaneDecide.UnparsedFramesPassUntouchedAndAreCounted test_kept_capture",
    "L1": "test_the_lost_are_the_models test_one_percent_is_lost "
          "ImpairLossBernoulli.TablesForASeed",
    "L2": "test_correlated ImpairLossCorrelated.TablesForASeed",
    "L3": "test_rate test_mean_run test_losses_in_both_states",
    "L4": "test_gilbert_elliott_by_rate_and_burst",
    "L5": "ImpairLossGilbertElliott.StartsFromTheStationaryLaw test_gilbert_starts_good",
    "L6": "ImpairLossGilbertElliott.TablesForASeed test_losses_in_both_states",
    "L7": "ImpairLossGilbertElliott.GapsBackwardsAndForgottenStatesDoNotMatter "
          "ImpairLossMarkov4.AnyOrderOfAccess ImpairLossCorrelated.AnyOrderOfAccess",
    "L8": "ImpairLossGilbertElliott.AChainThatAlwaysFlipsAlternates "
          "ImpairLossGilbertElliott.Errors test_certain_transitions_alternate",
    "L9": "ImpairLossGilbertElliott.AChainThatHardlyMovesIsDrawnAndCounted",
    "L10": "test_gilbert_in_time test_gilbert_in_time_by_burst",
    "L11": "test_markov4 ImpairLossMarkov4.TablesForASeed ImpairLossMarkov4.CertainChains",
    "L12": "test_markov4_by_rate_and_burst",
    "L13": "ImpairLossMarkov4.Errors",
    "L14": "test_every ImpairLossEvery.Numbers",
    "L15": "test_list ImpairLossList.NumbersAndRanges",
    "L16": "test_burst ImpairLossBurst.ARunningBurstIsNotStartedAgain",
    "L17": "test_burst_in_time ImpairLossBurst.RunsByTime",
    "L18": "test_outage_constant test_outage_exponential ImpairLossOutage.TablesForASeed "
           "ImpairLossOutage.AShareWhileItIsDown",
    "L19": "test_bit_error ImpairLossBitError.FramesArePaddedTo64Bytes",
    "L20": "test_all ImpairLossAll.EverythingIsLost",
    "L21": "ImpairLossAll.WhatIsEcnCapableIsMarkedInstead "
           "PacketEdit.MarksCongestionWithAGoodChecksum",
    "L22": "ImpairLossBernoulli.RatesAreDecidedWith64Bits BaseUnits.Probabilities",
    "D1": "test_delay_is_exact_and_loses_nothing ImpairDelay.AddsItsTime",
    "D2": "test_free_draws_have_the_law",
    "D3": "test_free_draws_have_the_law test_the_field_has_the_law",
    "D4": "ImpairDelay.Errors",
    "D5": "test_free_draws_have_the_law ImpairDelay.FreeConstantsMayReorder",
    "D6": "test_correlated_draws",
    "D7": "test_nothing_overtakes ImpairDelay.FormsFollowOneAnotherWithoutReordering",
    "D8": "test_the_field_has_the_law",
    "D9": "test_the_field_is_the_models test_the_field_does_not_depend_on_packets "
          "ImpairDelay.TheFieldIsAFunctionOfTime",
    "D10": "test_the_field_rarely_waits",
    "D11": "test_a_close_spacing_waits_often DataplaneDecide.ClampedAndUndecidedAreCounted",
    "D12": "ImpairDelay.Errors",
    "D13": "test_negative_delays_are_cut_and_counted",
    "D14": "test_64k_flows_each_with_its_own_delay",
    "D15": "test_trace",
    "D16": "test_distance",
    "D17": "test_a_delay_compensates_for_the_own_latency "
           "ImpairDelay.CompensationMakesAConstantShorter "
           "ImpairDelay.CompensationSubtractsLastAndNeverBelowZero "
           "ImpairDelay.CompensationKeepsTheOrderWhenItComesAndGoes "
           "test_nothing_is_subtracted_in_virtual_time",
    "D18": "test_a_table_of_netem test_a_file_beside_the_scenario",
    "D19": "test_free_delay_before_a_loaded_rate",
    "R1": "ImpairRate.Departures test_a_backlogged_link",
    "R2": "ImpairRate.FractionsDoNotDrift test_a_backlogged_link "
          "test_the_mean_rate_of_fast_links",
    "R3": "ImpairQueue.NeedsAStage",
    "R4": "ImpairQueue.Limits test_links_behind_delays",
    "R5": "DataplaneServed.CodelByHand DataplaneServed.HeadDropMakesRoomAtTheFront "
          "ImpairRate.Limits",
    "R6": "DataplaneServed.HeadDropMakesRoomAtTheFront test_head_drop_keeps_the_youngest",
    "R7": "test_red_drops_what_its_figure_says test_red_holds_its_average",
    "R8": "test_codel_holds_the_standing_delay_near_its_target DataplaneServed.CodelByHand "
          "test_codel_drops_what_its_model_drops",
    "R9": "test_pie_drops_what_its_model_drops test_pie_after_years_of_idleness",
    "R10": "test_codel_holds_the_standing_delay_near_its_target "
           "DataplaneServed.CodelMarksInstead test_codel_drops_what_its_model_drops",
    "R11": "test_pie_drops_what_its_model_drops",
    "R12": "DataplaneServed.ALimitInTimeIsOneOfWaiting",
    "R13": "DataplaneServed.RandomTrafficDependsOnNobodysAsking test_random_compositions "
           "test_codel_drops_what_its_model_drops",
    "R14": "DataplaneServed.UnderThePolicyThatJudgedThemAtArrival",
    "R15": "DataplaneServed.OfAForgottenScopeTheyAreNobodys",
    "R16": "ImpairPolice.TheBucket ImpairPolice.AgainstABucketInFractions "
           "test_police_is_a_token_bucket",
    "R17": "ImpairSlot.OneSlotInTurn ImpairSlot.TimesAreDrawnByNumberOfSlotAndScope "
           "ImpairSlot.TimesAreUniform",
    "R18": "ImpairSlot.OneSlotInTurn",
    "R19": "ImpairLinkTrace.Opportunities ImpairLinkTrace.AgainstBytesOneByOne "
           "test_a_recorded_link_serves_as_mahimahi_would",
    "R20": "ImpairLinkTrace.TheEnd",
    "R21": "DataplaneCopies.WhatNeedsOrderJudgesInTheOrderOfTimes",
    "E1": "test_early",
    "E2": "test_early",
    "E3": "test_late_by_time",
    "E4": "test_a_receiver_sees_duplicates_twice test_copies_come_one_delay_after_another "
          "ImpairDuplicate.CopiesAreBytesAndTimes DataplaneCopies.BeginAtTheirTimes "
          "DataplaneCopies.WhatStandsBeforeBefallsAllAndBehindEach "
          "test_duplicates_are_the_models test_copies_take_up_room_behind",
    "E5": "test_a_replay_is_an_old_datagram ImpairReplay.TheDiceSayWhoAndTheAgeWhen "
          "DataplaneCopies.BeginAtTheirTimes test_replayed_packets_are_the_models "
          "test_copies_take_up_room_behind",
    "E6": "ImpairCorrupt.TheDiceSayWhoAndWhich ImpairCorrupt.SoManyDifferentBits "
          "ImpairCorrupt.Bursts ImpairCorrupt.BytesAreWritten ImpairCorrupt.WordsChangePlaces "
          "ImpairCorrupt.GapsByBitErrorRate test_bit_error_rates test_bursts "
          "test_words_that_change_places test_bytes_at_a_place_drawn",
    "E7": "ImpairCorrupt.NothingElseChanges test_one_bit_where_it_was_asked_for "
          "test_bits_with_sums_mended_or_broken",
    "E8": "test_fixed_damage_reaches_a_udp_application "
          "test_fixed_damage_reaches_a_tcp_application "
          "ImpairCorrupt.FixHasTheDamageReachTheApplication test_bits_with_sums_mended_or_broken "
          "test_edits_are_the_models",
    "E9": "test_stale_checksums_are_dropped_by_the_receivers_kernel "
          "test_stale_checksums_never_reach_a_tcp_application ImpairCorrupt.KeepLeavesChecksums "
          "ImpairTruncate.KeepCutsAnythingAndNothingElseChanges "
          "test_one_bit_where_it_was_asked_for",
    "E10": "test_stale_checksums_are_dropped_by_the_receivers_kernel "
           "ImpairCorrupt.BreakIsNoticedWhateverTheDamage test_bits_with_sums_mended_or_broken "
           "test_words_that_change_places",
    "E11": "ImpairCorrupt.FixHasTheDamageReachTheApplication "
           "test_bits_with_sums_mended_or_broken test_edits_are_the_models",
    "E12": "test_truncated_datagrams_arrive_shorter "
           "ImpairTruncate.KeepCutsAnythingAndNothingElseChanges "
           "ImpairTruncate.FixMakesLengthsAndSumsFit test_a_rate_and_a_match_choose "
           "test_edits_follow_one_another PacketEdit.CutsThatFit",
    "E13": "test_a_small_mtu_is_a_black_hole_until_icmp_tells_of_it "
           "ImpairMtu.TheDefaultIsADropWithoutAWord ImpairMtu.WhatIsTooLarge test_mtu",
    "E14": "test_a_small_mtu_is_a_black_hole_until_icmp_tells_of_it "
           "test_icmp_lets_a_new_transfer_through ImpairMtu.IcmpTellsTheSize test_mtu "
           "PacketCraft.Errors",
    "E15": "test_datagrams_in_fragments_are_put_together ImpairMtu.FragmentsArePutTogetherAgain "
           "ImpairMtu.TenFragmentsAndNoMore ImpairMtu.FragmentAnswersWhatMustNotBeCut "
           "test_mtu_cuts_as_rfc_791_says",
    "E16": "test_set_fields_are_what_the_receiver_reads "
           "test_addresses_and_ports_are_translated_for_a_session "
           "ImpairSet.FieldsAndTheirChecksums ImpairSet.WhatAFrameHasNotStays "
           "test_edits_are_the_models PacketEdit.FieldsOfRandomFrames",
    "E17": "test_tags_are_what_the_receivers_kernel_reads ImpairSet.TagsAndWhatStandsBehindSees "
           "DataplaneEdits.WhatStandsBehindSeesTheLengthThatWillBe test_edits_are_the_models "
           "test_edits_follow_one_another PacketEdit.TagsComeAndGo",
    "E18": "test_a_reset_kills_a_session_at_once test_a_reset_ends_a_transfer_at_its_segment "
           "test_tcp_reset PacketCraft.Resets ImpairTcp.ResetsHaveTheNumbersExpected "
           "ImpairTcp.ResetsOfWhatHasNoAck test_resets_are_those_of_the_page "
           "test_a_reset_is_believed test_linux_believes_a_reset",
    "E19": "test_handshakes_are_changed_for_both_kernels test_a_zero_window_stops_a_sender "
           "test_edits_are_the_models PacketEdit.OptionsOfTcp ImpairTcp.ChangesAreThoseOfThePage "
           "ImpairTcp.OptionsThatContradictThemselvesStay",
    "E20": "test_connect_fails_at_once_as_the_answer_says ImpairIcmpUnreachable.AnswersByCode "
           "test_unreachable PacketCraft.Errors",
    "E21": "test_connect_fails_at_once_as_the_answer_says "
           "test_a_datagram_refused_is_told_to_its_sender ImpairReject.TcpGetsAReset "
           "ImpairReject.TheRestOfIpGetsPortUnreachable test_reject PacketCraft.Resets",
    "E22": "ImpairReject.DroppedWithoutAnAnswer ImpairIcmpUnreachable.DroppedWithoutAnAnswer "
           "ImpairMtu.IcmpTellsTheSize test_what_must_not_be_answered test_reject test_tcp_reset "
           "PacketCraft.Errors",
    "E23": "test_marks_are_counted_by_the_receivers_kernel ImpairMarkCe.TheDiceSayWho "
           "ImpairMarkCe.OnlyWhatIsEcnCapableIsMarked test_edits_are_the_models "
           "test_a_rate_and_a_match_choose",
    "E24": "test_a_transfer_breaks_off_after_so_many_packets ImpairStopAfter.NumbersUpToNPass "
           "ImpairStopAfter.TheNumberDecidesAndNotHowManyWereSeen test_stop_after "
           "test_in_their_own_rule_copies_have_their_packets_number",
    "E25": "test_edits_are_the_models test_edits_follow_one_another",
    "E26": "DataplaneCopies.EachHasANumberOfItsOwn DataplaneCopies.MoreThan33AreRefused "
           "test_copies_of_copies_and_their_end test_copies_are_numbered_behind",
    "E27": "DataplaneCopies.DiceOfCopiesAreTheirOwn DataplaneCopies.AreOfTheirPacketsFlow "
           "test_copies_have_dice_of_their_own test_copies_take_up_room_behind "
           "test_copies_are_numbered_behind",
    "E28": "test_edits_follow_one_another",
    "E29": "test_connect_fails_at_once_as_the_answer_says "
           "test_answers_leave_at_the_packets_own_time_and_meet_no_rule test_unreachable",
    "E30": "test_random_compositions test_kept_captures_impaired test_duplicates_are_the_models",
    "E31": "test_rounds_at_their_instants test_a_capture_keeps_its_gaps "
           "test_times_count_from_when_the_rule_begins",
    "E32": "test_nothing_befalls_own_frames test_they_are_told_of",
    "E33": "test_late_by_packets test_late_by_packets_at_most test_late_by_packets_of_the_scope",
    "E34": "test_late_by_packets test_early DataplaneReordering.AsDefined",
    "E35": "test_each_node_is_told_its_own test_a_group_hears_different_things "
           "ImpairEquivocate.TheEndOfThePayload",
    "E36": "test_forged_frames_are_the_models test_readers_of_captures_find_no_fault",
    "C44": "test_every_segment_is_as_in_the_model "
           "DataplaneTcpTrack.ARetransmissionEndsNotAboveTheHighestEnd",
    "C45": "test_every_segment_is_as_in_the_model DataplaneTcpTrack.EightNumbersAreRemembered",
    "C46": "test_every_segment_is_as_in_the_model DataplaneTcpTrack.AKeepAliveIsNone",
    "C47": "test_every_segment_is_as_in_the_model "
           "DataplaneTcpTrack.BytesAreNumberedWithoutWrapping",
    "C48": "test_every_segment_is_as_in_the_model",
    "C49": "test_flows_in_two_vlans_share_nothing",
    "C50": "test_acks_pass_where_the_rule_says_so test_a_lost_reply_and_a_lost_request_look_the_same",
    "C51": "test_a_cut_is_a_cut test_who_hears_whom test_shapes_cut_real_hosts",
    "C52": "test_a_paused_link_loses_nothing test_a_buffer_bounds_each_direction "
           "test_ping_through_a_pause test_a_buffer_of_twenty_packets "
           "test_ends_that_no_packet_brings ImpairPause.NothingLeavesBeforeItIsOpened",
    "C53": "test_a_host_is_silent_and_then_knows_nothing test_a_syn_that_is_sent_again_opens_anew "
           "ImpairCrash.AHost",
    "C54": "test_frames_go_where_a_bridge_sends_them test_stations_are_forgotten "
           "test_rules_apply_to_ordered_pairs",
    "C55": "test_what_a_node_is",
    "C56": "test_kept test_broken test_a_hold_too_small_for_asynchronous",
    "K1": "ImpairClockLaw.TheLawInNanoseconds test_ntp_is_the_models test_ptp_is_the_models",
    "K2": "ImpairClock.EachStampAtItsOwnValueFromTheFirstTransmit test_ntp_is_the_models",
    "K3": "ImpairClock.EachStampAtItsOwnValueFromTheFirstTransmit ImpairClock.AnEnabledRuleBeginsAnew "
          "ImpairClock.PtpBeginsWithTheFirstT1",
    "K4": "ImpairClock.ASourceByMode test_ntp_is_the_models test_a_source_is_wrong",
    "K5": "ImpairClock.InterleavedRequestsSayWhatWasReceived "
          "ImpairClock.SymmetricPeersSayWhatWasSent ImpairClockLaw.TheWayBack test_ntp_is_the_models "
          "test_drift_steps_and_interleaved_mode",
    "K6": "ImpairClock.PtpByType ImpairClock.PtpByItsCorrection test_ptp_is_the_models "
          "test_ptp_by_its_correction test_ptp_is_ten_milliseconds_off",
    "K7": "ImpairClock.AVictimByMode ImpairClock.AVictimsQuestionsStay test_ptp_of_a_victim "
          "test_a_victim_is_told_so",
    "K8": "ImpairClock.ZeroStampsStayZero ImpairClock.AnEraEndsIn2036 "
          "ImpairClockLaw.ToldStampsAreNeverZeroUnlessTheyWere test_ntp_is_the_models",
    "K9": "ImpairClock.AChecksumOfNoneStaysNone PacketNtp.FieldsAreWrittenWithTheirSums "
          "test_ntp_is_the_models",
    "K10": "ImpairClock.WhatIsAuthenticatedStays ImpairClock.PtpIsAuthenticatedOrMutable "
           "test_what_is_authenticated_is_dropped_on_demand test_a_source_is_wrong",
    "K11": "ImpairClock.OneDirectionIsLate ImpairClock.ItGetsLateByAndBy test_one_direction_is_late "
           "test_a_source_is_wrong",
    "K12": "ImpairClock.Announce ImpairClock.WhatTheHeaderSays test_announce "
           "test_what_the_header_says",
    "K13": "ImpairClock.TheFirstWhoTellsTheTimeSaysWhatTheNodeIs ImpairClock.AnEnabledRuleFindsOutAnew "
           "test_what_a_node_is_comes_first "
           "PolicyWorkers.WhatOneWorkerMustOwnIsRefusedOnASharedWire",
    "K14": "test_each_client_and_its_sources test_a_victim_and_its_sources "
           "test_the_report_of_ptp_and_of_what_is_late test_the_table_of_pairs_is_bounded "
           "ImpairClockPairs.WhatTwoWorkersSawIsOnePair test_a_victim_is_told_so",
    "V1": "ReportVerdict.ATolerancePassesWhatIsCompatibleWithOneOfItsRates "
          "ReportVerdict.ALossIsComparedWithinTheStatisticsOwnWidth "
          "ReportBinomial.IntervalsOfClopperAndPearson",
    "V2": "ReportVerdict.LossesInRunsTellLess ReportVerdict.ARuleIsHeldToItsOwnLaw "
          "ReportVerdict.AFloodedFrameMeetsTheSameDiceOnEachPath",
    "V3": "ReportVerdict.QuantilesCarryBucketsAndRanks ReportBinomial.RanksAroundAQuantile "
          "test_delays",
    "V4": "test_a_field_tells_less_than_its_packets",
    "V5": "test_every_law_is_kept ReportVerdict.ARuleIsHeldToItsOwnLaw "
          "ReportVerdict.ACountIsHeldToItself ReportVerdict.AChangedLawIsNotJudged",
    "V6": "test_every_law_of_delays_is_kept ReportBinomial.KolmogorovsLaw "
          "ReportVerdict.QuantilesCarryBucketsAndRanks",
    "V7": "test_counts test_overtaken_packets_are_those_of_the_ports test_rate test_model",
    "V8": "test_a_rule_that_met_nothing_fails ReportVerdict.ARuleThatMetNothingFails",
    "V9": "test_what_the_tool_lost_makes_a_run_invalid ReportVerdict.TheToolsOwnFaultsAreInvalid",
    "V10": "test_without_expectations_nothing_fails test_both_forms_and_junit_say_the_same",
    "V11": "test_a_planted_error_fails test_two_hundred_runs",
    "U1": "test_the_same_again",
    "U2": "PolicyTimeline.ARunEndsWithAllRulesOff test_the_same_again",
    "U3": "test_ended_before_its_time test_at_a_time_and_by_its_own_drops",
    "U4": "test_refused_before_it_begins",
    "U5": "test_what_leaves_and_what_is_dropped test_points_of_the_way "
          "test_a_full_disk_costs_packets_that_are_counted",
    "U6": "test_a_ring_of_files test_rings_stay_within_their_limit",
}
