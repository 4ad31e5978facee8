//! Names of tests, `PROGRAM::TEST`, that rows of the table require or exclude.

pub(crate) const LOST: &str = "owners::a_process_that_lost_pages_to_memory_errors_is_found";
pub(crate) const LOST_SMALL: &str =
    "poison::a_small_page_of_anonymous_memory_that_was_lost_is_poisoned";
pub(crate) const LOST_OF_HUGE: &str =
    "poison::a_page_of_a_transparent_huge_page_that_was_lost_is_poisoned_and_the_others_are_not";
pub(crate) const LOST_OF_FILE: &str = "poison::a_page_of_a_file_that_was_lost_is_poisoned";
pub(crate) const LOST_HUGETLB: &str =
    "poison::a_hugetlb_page_that_was_lost_is_never_reported_absent";
pub(crate) const LOST_GIGANTIC: &str =
    "poison::a_hugetlb_page_of_a_gibibyte_that_was_lost_is_never_reported_absent";
pub(crate) const SOFTLY_OFFLINE: &str =
    "poison::pages_that_were_taken_offline_softly_are_where_their_bytes_went";
pub(crate) const CHANGED_SWAP: &str = "changes::swapped_pages_are_those_in_swap_entries";
pub(crate) const CHANGED_NODE: &str = "changes::pages_that_are_moved_to_another_node_are_moved";
pub(crate) const CHANGED_SIZE: &str =
    "changes::collapsed_and_split_pages_become_huge_and_stop_being_huge";
pub(crate) const COMPACTED: &str = "changes::pages_that_compaction_moves_are_moved";
pub(crate) const CENSUS: &str =
    "census::the_frames_of_each_zone_are_those_that_the_kernel_calls_present";
pub(crate) const OFFLINE: &str = "census::memory_that_is_offline_is_no_part";
pub(crate) const BALLOON: &str =
    "census::memory_in_a_balloon_is_offline_and_counted_by_its_counter";
pub(crate) const EXPLAINED: &str = "census::memory_that_no_flag_explains_is_explained_by_counters";
pub(crate) const FREE_INDICES: &str = "metrics::indices_of_free_memory_are_those_of_extfrag";
pub(crate) const GROUPS_HUGETLB: &str = "groups::hugetlb_pages_count_once";
pub(crate) const MOVING: &str =
    "migration::small_pages_on_the_move_are_where_they_were_seen_or_on_the_move";
pub(crate) const MOVING_HUGE: &str =
    "migration::transparent_huge_pages_on_the_move_are_where_they_were_seen_or_on_the_move";
pub(crate) const MOVING_HUGETLB: &str =
    "migration::hugetlb_pages_on_the_move_are_where_they_were_seen_and_never_absent";
pub(crate) const DAX_SHARED: &str = "persistent::shared_pages_of_a_file_lie_where_its_extents_are";
pub(crate) const DAX_PRIVATE: &str = "persistent::private_pages_that_were_only_read_are_the_files";
pub(crate) const DAX_COPIES: &str =
    "persistent::private_copies_are_ram_and_their_neighbours_are_not";
pub(crate) const DAX_HOLES: &str = "persistent::holes_that_were_read_are_the_zero_page";
pub(crate) const DAX_HUGE: &str = "persistent::huge_pages_of_a_file_and_of_a_hole_are_told_apart";
pub(crate) const DAX_OWNER: &str = "persistent::the_owner_of_persistent_memory_is_who_maps_it";
pub(crate) const DAX_DEVICES: &str = "persistent::a_dax_device_lies_where_its_resource_is";

pub(crate) const PAGE_SCAN: &str = "system_calls::huge_pages_cost_half_a_read_each";
pub(crate) const AREA_QUERY: &str = "system_calls::one_address_of_oneself_takes_no_call_too_many";
pub(crate) const HUGE: &str = "oracle::huge_pages_are_consecutive_and_their_leaf_entries_whole";
pub(crate) const HUGE_WALK: &str = "parallel::huge_pages_come_out_as_in_an_ordinary_walk";
pub(crate) const HUGETLB: &str = "oracle::hugetlb_pages_have_their_size";
pub(crate) const HUGE_ZERO: &str =
    "oracle::states::the_huge_zero_page_of_dev_zero_is_no_memory_of_the_mapping";
pub(crate) const HUGE_ZERO_OF_CHILD: &str =
    "oracle::states::the_huge_zero_page_is_no_memory_of_a_child_that_inherits_it";
pub(crate) const MARKED: &str =
    "oracle::states::a_page_that_is_marked_without_being_there_is_a_marker_or_poisoned";
pub(crate) const MARKED_HUGETLB: &str =
    "oracle::states::a_hugetlb_page_that_is_marked_is_never_called_not_present";
pub(crate) const GIGANTIC: &str = "machines::hugetlb_pages_of_a_gibibyte_are_one_leaf_entry_each";
pub(crate) const NODES: &str = "machines::memory_of_each_node_is_reported_where_that_node_is";
pub(crate) const MOVED: &str = "machines::a_page_that_is_moved_to_another_node_is_reported_there";
pub(crate) const NODES_BY_KIND: &str = "machines::a_summary_has_the_memory_of_each_kind_by_node";
pub(crate) const HIGH: &str = "machines::memory_above_the_lower_47_bits_is_reported";
pub(crate) const SWAP: &str = "machines::swapped_pages_are_told_with_their_place";
pub(crate) const SWAP_SUM: &str = "summary::swapped_memory_is_what_the_kernel_counts";
pub(crate) const SWAP_FACTS: &str =
    "page_facts::a_page_in_swap_has_the_facts_of_its_entry_and_the_areas_name";
pub(crate) const STORM: &str = "storm::order_addresses_and_errors_are_right_in_a_storm";
pub(crate) const DEVICE: &str = "machines::device_memory_is_never_told_to_be_absent_or_ram";
pub(crate) const PROC_PCI: &str = "devices::the_memory_of_pci_devices_is_found_by_proc_too";
pub(crate) const FRAMEBUFFER: &str =
    "other_devices::a_framebuffer_is_unknown_because_only_its_own_file_tells_where_it_is";
pub(crate) const VFIO: &str = "user_drivers::a_vfio_region_lies_in_its_bar";
pub(crate) const UIO: &str = "user_drivers::the_maps_of_uio_devices_lie_where_sysfs_says";
pub(crate) const CHANGED: &str =
    "driver_ram::ram_whose_own_type_a_driver_has_changed_has_that_type";
pub(crate) const AS_IT_IS: &str =
    "driver_ram::ram_that_a_driver_maps_as_it_is_has_no_type_because_nothing_tells_that";
pub(crate) const MAPPING_ALONE: &str =
    "driver_ram::ram_that_only_its_mapping_makes_write_combining_has_no_type";
pub(crate) const LEFT_OUT: &str =
    "driver_ram::ram_of_a_driver_that_the_page_map_leaves_out_is_unknown_and_has_no_type";
pub(crate) const TYPED: &str =
    "driver_ram::consecutive_pages_of_several_types_are_pieces_of_one_region_with_each_its_type";
pub(crate) const THROUGH: &str = "driver_ram::ram_that_a_driver_has_made_write_through_is_so";
pub(crate) const RINGS: &str = "driver_ram::rings_of_the_kernel_and_ordinary_memory_are_write_back";
pub(crate) const WIDER: &str = "machines::a_64_bit_process_is_seen_whole_by_a_32_bit_program";
pub(crate) const RESERVATION: &str = "oracle::a_reservation_of_a_terabyte_is_skipped_not_read";
pub(crate) const YAMA: &str = "permissions::processes::under_yama_registers_of_another_process_are_refused_and_ones_own_are_read";
