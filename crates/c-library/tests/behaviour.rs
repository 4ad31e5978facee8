//! The cases of the C programs in `programs/*.c`, each with the shared library, with
//! the archive, and in a static program.

mod programs;

use std::collections::BTreeSet;

all_cases! {
    buffer:
        a_range_that_runs_backwards_is_invalid,
        the_size_is_asked_for_and_then_filled_exactly,
        a_short_buffer_gets_whole_records_and_nothing_behind,
        what_is_not_written_is_not_examined,
        no_record_needs_no_buffer,
        a_buffer_that_cannot_be_written_is_a_fault,
        a_buffer_that_is_partly_bad_is_a_fault,
        a_buffer_may_have_any_alignment,
        a_long_array_is_written_over_many_pages,
        a_result_that_does_not_fit_an_int_overflows;
    confined:
        no_call_allocates,
        every_call_makes_only_the_documented_system_calls,
        so_does_a_process_that_locks_its_memory,
        so_does_one_on_a_kernel_without_the_newer_calls,
        so_does_a_process_that_has_dropped_its_privilege,
        registers_need_no_others_than_those_of_their_own_table,
        registers_need_each_call_of_their_table,
        another_system_call_would_be_the_end;
    cursor:
        steps_of_any_size_give_the_arrays_records,
        a_fault_loses_no_record,
        misuse_is_safe,
        a_target_that_ends_is_an_error_for_good,
        an_error_is_final,
        any_number_of_records_is_streamed,
        a_moved_cursor_goes_on;
    handlers:
        a_handler_that_interrupts_malloc_may_walk,
        a_handler_that_interrupts_printf_may_walk,
        a_handler_that_interrupts_dlopen_may_walk,
        a_cancel_in_a_handler_waits_for_the_call_that_it_interrupts,
        a_walk_fits_an_alternate_stack_of_the_documented_size;
    idioms:
        the_physical_list_is_longer_than_the_virtual_one,
        a_list_that_grows_between_two_calls_stays_within_its_buffer,
        page_table_records_have_no_number_of_a_page,
        a_child_inherits_a_calls_descriptors_until_it_executes,
        a_jump_out_of_a_call_leaves_its_descriptors_and_cancellation_disabled;
    objects:
        the_path_of_a_file_is_found_whole,
        a_path_of_any_length_is_found_whole,
        a_programs_own_path_and_linked_address_are_found,
        a_short_buffer_gets_an_empty_path,
        a_bad_buffer_for_a_path_is_a_fault,
        there_is_no_object_in_anonymous_memory_or_nowhere,
        another_processs_memory_is_read,
        a_read_is_whole_or_a_fault_of_the_target,
        device_memory_has_its_address;
    own_memory:
        with_all_privileges,
        after_setuid,
        after_seteuid,
        not_dumpable,
        when_the_first_thread_has_ended,
        a_protected_page_is_read_with_the_right_to_attach_only,
        nothing_but_an_overlapping_buffer_is_written;
    processes:
        lists_have_the_unique_pids_of_all_and_of_children,
        a_list_that_does_not_fit_is_cut_to_whole_elements,
        allocated_lists_belong_to_the_caller,
        without_memory_a_list_is_an_error,
        a_name_is_the_path_without_its_slash_and_fits_or_is_empty,
        a_short_name_is_stored_without_a_byte_more,
        the_status_of_a_process_is_what_it_knows_of_itself,
        a_struct_is_stored_whole_or_not_at_all,
        threads_are_found_by_counting_up,
        registers_are_stored_as_far_as_the_result_says,
        registers_leave_no_child_no_descriptor_and_no_memory,
        threads_may_read_registers_at_once,
        without_rights_public_members_remain;
    qnx_debugger:
        objects_are_those_of_the_kernel,
        objects_have_the_addresses_that_they_were_linked_to,
        all_processes_are_those_of_proc,
        a_zombie_is_listed_as_one,
        threads_are_those_of_proc_in_their_states,
        registers_are_those_of_the_call_that_a_thread_waits_in,
        memory_is_read_up_to_the_first_hole;
    qnx_dumper:
        the_notes_are_of_the_process_and_all_its_threads,
        the_segments_are_what_is_in_memory,
        a_number_without_a_process_and_wrong_usage_are_told_and_no_file_is_made;
    qnx_lister:
        every_process_is_listed_as_proc_has_it,
        a_family_is_listed_as_a_tree,
        a_name_with_any_bytes_is_one_line,
        a_number_without_a_process_and_wrong_usage_are_told;
    qnx_mapping:
        a_mapping_has_the_protection_and_type_that_it_was_made_with,
        memory_can_be_written_only_with_the_right,
        a_protection_can_be_set_from_a_record,
        a_file_is_mapped_at_a_fixed_address,
        a_mapping_for_a_stack_is_made,
        the_kernel_gets_its_own_values,
        backed_memory_has_the_flags_of_its_page,
        a_bit_that_linux_cannot_honour_is_refused,
        a_refused_mapping_replaces_nothing,
        the_other_names_of_these_calls_convert_too,
        a_pointer_to_a_function_converts_too,
        other_functions_are_linuxs;
    qnx_profiler:
        the_code_is_that_of_the_kernel,
        private_memory_is_that_of_the_kernel,
        resident_memory_is_that_of_the_page_map,
        pages_in_memory_are_those_of_mincore,
        samples_are_of_all_threads_where_they_wait,
        cpu_time_is_that_of_the_kernel;
    qnx_sanitizer:
        the_layout_is_that_of_the_kernel,
        mappings_of_every_kind_are_in_the_layout,
        more_mappings_than_the_first_query_counted_are_in_the_layout,
        an_address_is_in_the_module_that_contains_it;
    regions:
        touched_memory_is_backed_and_untouched_is_not,
        each_zero_page_is_a_record_at_the_same_address,
        two_mappings_of_one_page_have_one_address,
        a_private_copy_is_split_off_and_anonymous,
        physical_records_tile_the_virtual_ones,
        every_flag_of_the_kind_is_there,
        virtual_records_are_whole_regions,
        physical_records_are_cut_to_whole_pages_of_the_range,
        one_address_is_one_page_table_record,
        each_page_has_a_page_table_record,
        an_unmapped_start_is_a_page_table_record_without_flags,
        a_page_table_record_of_an_object_knows_its_offset,
        a_huge_page_is_one_page_table_record,
        an_enormous_reservation_costs_nothing,
        prot_converts_to_linux_values,
        older_kernels_give_the_same;
    safety:
        errno_and_descriptors_are_left_alone,
        a_cursors_files_are_closed_on_exec,
        a_signal_handler_may_call,
        eight_threads_may_call_at_once,
        a_child_of_a_threaded_program_may_call,
        a_pending_cancel_is_acted_on_at_entry,
        a_cancel_never_stops_a_call_half_way,
        a_process_outlives_its_first_thread;
    stack:
        every_call_stays_within_six_kib_of_stack,
        it_does_so_on_a_kernel_without_the_newer_calls;
    tagged:
        a_tagged_address_is_the_address,
        a_tagged_buffer_is_written_where_the_kernel_allows_it,
        tagged_memory_is_read_and_written;
    targets:
        nobodys_number_is_no_process,
        zero_the_pid_and_the_unique_pid_are_one_process,
        getpid64_is_a_function_of_the_library,
        a_childs_copy_of_a_page_has_an_address_of_its_own,
        a_unique_pid_ends_with_its_process,
        a_threads_id_is_no_process,
        a_process_without_memory_has_no_records,
        without_privilege_the_layout_is_told_but_no_address,
        without_descriptors_the_kernels_error_is_given,
        a_target_that_execs_is_whole_or_gone;
}

#[test]
fn no_program_of_cases_is_forgotten() {
    assert_eq!(PROGRAMS, c_library::program::WITH_CASES);
}

/// Each program is one of those above, or has a test of its own.
#[test]
fn every_c_program_is_one_that_the_tests_know() {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(programs::source("")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c") {
            found.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    let known = PROGRAMS.iter().chain(&c_library::program::OTHERS);
    assert_eq!(found, known.map(|&name| name.to_owned()).collect());
}
