"""What can happen between us and a registry, and the tests that show what comes of it.

The cases are numbered as in the list that the registry code was written against. A test that is
renamed or removed has to be replaced here.
"""

from __future__ import annotations

import ast

import pytest
from support.paths import TESTS

CASES = {
    "D1 one token for a push": "registry_auth: one_token_is_enough_for_a_push",
    "D2 a token that ends while a blob is sent": (
        "tokens: a_token_that_ends_while_a_blob_is_sent_costs_that_blob"
    ),
    "D3 a token server that fails or sends nonsense": (
        "tokens: a_fault_of_the_token_server_that_passes_is_survived"
        " a_token_server_that_is_of_no_use_is_an_error"
        " a_token_server_that_always_fails_is_no_question_of_who_we_are"
    ),
    "D4 a token server where no credentials may go": (
        "tokens: credentials_go_to_no_address_that_is_not_safe"
        " registry_tls: a_token_server_without_tls_gets_no_credentials"
    ),
    "D5 a password that is right, wrong, or missing": (
        "registry_auth: credentials_are_used_and_told_of wrong_credentials_are_shown_only_once"
        " a_registry_that_wants_credentials_gets_an_error_without"
    ),
    "D6 Retry-After in every form": "push_faults: a_registry_says_when_to_come_back",
    "D7 429 to every request": (
        "push_faults: a_fault_that_passes_is_survived"
        " tokens: a_fault_of_the_token_server_that_passes_is_survived"
        " upload: a_fault_of_the_other_way_to_send_is_survived"
    ),
    "D8 500 to 504, once and always": (
        "push_faults: a_fault_that_passes_is_survived a_fault_that_stays_is_an_error"
    ),
    "D9 a connection that is cut at any point": (
        "push_faults: a_fault_that_passes_is_survived"
        " upload: a_connection_that_is_cut_in_the_middle_of_a_blob_is_survived"
        " a_blob_that_was_stored_before_the_connection_broke_is_not_sent_again"
    ),
    "D10 a manifest that was stored before the cut": (
        "push_faults: a_manifest_that_was_stored_before_the_connection_broke_is_no_trouble"
    ),
    "D11 where an upload may lead": (
        "locations: an_upload_goes_where_the_registry_says an_upload_goes_nowhere_else"
        " an_upload_to_another_host_does_not_say_who_we_are"
        " urls: an_address_is_followed an_address_is_refused"
    ),
    "D12 a location that changes": "locations: the_last_location_is_the_one_that_counts",
    "D13 a redirect to another host": (
        "locations: a_redirect_to_another_host_is_followed_without_credentials"
    ),
    "D14 a redirect in a circle": "locations: a_redirect_in_a_circle_is_left",
    "D15 every answer to a mount": (
        "push: a_blob_is_taken_from_another_repository"
        " a_session_that_is_answered_to_a_mount_is_used"
        " a_registry_that_does_not_mount_is_asked_only_once"
        " a_registry_that_hangs_on_a_mount_is_asked_only_once"
    ),
    "D16 a blob that is there and then is not": (
        "upload: a_blob_that_is_lost_between_asking_and_using_is_sent_again"
    ),
    "D17 a digest of something else": "push_faults: a_fault_that_stays_is_an_error",
    "D18 a digest that is refused": (
        "upload: a_digest_that_is_refused_once_is_sent_again"
        " push_faults: a_fault_that_stays_is_an_error"
    ),
    "D19 a blob that is refused as it is sent": (
        "upload: a_registry_that_wants_no_single_put_gets_a_patch"
        " push_faults: a_fault_that_stays_is_an_error"
    ),
    "D20 a manifest that is too large": "push_faults: a_manifest_that_is_too_large_is_explained",
    "D21 a registry that goes down and comes back": (
        "push_faults: a_registry_that_goes_down_and_comes_back_is_waited_for"
        " real/registry_faults: a_registry_that_is_killed_and_comes_back_gets_the_image"
        " a_registry_that_was_killed_gets_only_what_it_lacks"
    ),
    "D22 a push of what is there": (
        "push: a_second_push_sends_no_blob real/registry: a_second_push_sends_no_blob"
    ),
    "D23 blobs, then manifests, then the tag": (
        "push: what_refers_comes_after_what_it_refers_to an_index_comes_after_its_images"
    ),
    "D24 a tag that stays when a push fails": "push: a_manifest_that_is_refused_moves_no_tag",
    "D25 whose certificate is believed": (
        "registry_tls: a_certificate_that_nobody_vouches_for_is_refused"
        " an_authority_in_the_named_directory_is_trusted certificates_need_not_be_looked_at"
        " this_machine_is_spoken_to_without_tls_where_it_has_none"
        " another_machine_is_not_spoken_to_without_tls"
    ),
    "D26 TLS where there is none, and none where there is": (
        "registry_tls: plain_http_to_a_registry_with_tls_is_explained"
        " another_machine_is_not_spoken_to_without_tls"
    ),
    "D27 proxies, and who is reached without": (
        "registry_tls: a_registry_with_tls_is_reached_through_a_proxy"
        " a_proxy_is_passed_by_for_those_whom_the_environment_excepts"
    ),
    "D28 helpers that know, do not, fail or hang": (
        "credential_helpers: a_helper_is_asked a_helper_may_know_nothing"
        " a_helper_that_fails_is_an_error a_helper_that_is_missing_is_an_error_for_its_registry"
    ),
    "D29 how a registry is named in a file": (
        "credentials: a_registry_is_found_under a_registry_is_not_found_under"
    ),
    "D30 files that cannot be read, and odd passwords": (
        "credentials: an_entry_is_read a_file_that_cannot_be_read_is_named_and_not_shown"
        " tokens: a_file_that_cannot_be_read_is_a_question_of_who_we_are"
    ),
    "D31 nothing secret is said": (
        "push_command: very_much_is_said_when_it_is_asked_for_but_nothing_secret"
        " a_failure_has_its_exit_code_and_shows_no_secret"
    ),
    "D32 names that are none": (
        "push_command: a_reference_that_is_none_is_refused_before_any_request"
        " reference: an_error_says_which_part_is_wrong"
    ),
    "D33 lists of referrers": (
        "referrers: a_registry_that_lists_referrers_is_left_to_it"
        " what_others_listed_stays_as_it_is_and_in_its_order"
        " a_list_has_nothing_twice what_is_no_list_is_left_as_it_is"
    ),
    "D34 Ctrl-C": (
        "push_command: a_push_that_is_interrupted_calls_its_uploads_off"
        " upload: what_a_failed_push_opened_is_called_off"
    ),
    "D35 an error of ten megabytes, or with escapes": (
        "push_faults: a_fault_that_stays_is_an_error"
    ),
    "D36 a layer that is there twice": "push: a_layer_that_is_there_twice_is_sent_once",
    "D37 a kept connection that was closed": (
        "push_faults: a_kept_connection_that_was_closed_costs_no_waiting"
    ),
    "D38 a byte at a time": (
        "push_faults: a_registry_that_answers_a_byte_at_a_time_is_given_up"
        " a_registry_that_says_nothing_is_given_up"
    ),
    "D39 a blob that changes while it is sent": (
        "push: a_blob_that_changed_meanwhile_is_never_stored"
    ),
    "D40 a real registry": (
        "real/registry: skopeo_gets_back_what_was_pushed a_blob_that_was_deleted_is_sent_again"
        " a_registry_with_a_password_and_tls_lets_us_in"
        " real/conformance: an_image_keeps_its_digest_through_a_registry"
    ),
    "D41 whom an account and a flag are for": (
        "cli_registries: an_account_is_not_for_a_base"
        " an_account_is_for_no_side_of_two_registries an_account_is_for_the_registry_that_is_named"
        " plain_http_is_for_the_registry_that_is_pushed_to plain_http_may_name_a_registry"
        " a_flag_that_could_be_for_two_registries_is_refused credentials: an_account_that_is_for"
    ),
    "D42 a name that cannot be resolved": (
        "connections: a_name_that_cannot_be_resolved_once_is_asked_for_again"
        " a_name_that_is_none_is_an_error_after_two_tries"
    ),
    "D43 where a registry may lead, whatever the name": (
        "connections: a_name_that_leads_away_from_this_machine_is_not_followed"
        " storage_of_this_machine_is_for_a_registry_of_this_machine"
        " a_redirect_to_another_port_does_not_say_who_we_are"
        " urls: a_registry_leads_no_farther_than_it_could_itself"
    ),
    "D44 a host that is redirected to, and asks": (
        "connections: another_registry_that_asks_gets_a_token_for_anyone"
    ),
    "D45 a head that never ends": (
        "connections: a_head_that_never_ends_is_given_up interim_answers_are_passed_over"
    ),
    "D46 proxies that refuse, and SOCKS": (
        "connections: what_a_proxy_answers_is_said a_registry_is_reached_through_socks"
        " what_a_socks_proxy_answers_is_said a_proxy_of_another_kind_is_named"
    ),
    "D47 an upload that breaks": (
        "upload: what_the_registry_has_is_not_sent_again"
        " an_upload_that_cannot_continue_begins_again"
        " a_large_blob_arrives_over_a_line_that_is_cut"
    ),
    "D48 a body that is too large": "upload: a_body_that_is_too_large_goes_in_pieces",
    "D49 a line that loses requests": (
        "upload: an_image_arrives_over_a_line_that_loses_requests"
        " retry: a_bad_line_is_put_up_with a_registry_that_is_down_is_given_up_after_a_minute"
    ),
    "D50 who may not push": (
        "cli_registries: who_may_not_push_hears_it_before_the_build"
        " upload: a_registry_that_does_not_let_us_push_says_so_at_once"
        " a_registry_that_cannot_tell_whether_we_may_push_is_believed"
        " a_session_that_cannot_be_called_off_is_no_error"
    ),
    "D51 a tag that cannot be moved": (
        "cli_registries: a_tag_that_cannot_be_moved_may_be_pushed_again"
        " another_image_under_a_tag_that_cannot_be_moved_is_explained"
    ),
    "D52 storage that forbids to ask": "upload: storage_that_forbids_to_ask_gets_the_blob",
    "D53 a scope that is refused": "tokens: a_scope_that_is_refused_costs_only_the_mount",
    "D54 few requests": "cli_registries: a_push_of_what_is_there_makes_few_requests",
    "D55 mirrors": "mirrors: an_image_comes_from_its_mirror_while_that_has_it",
    "D56 what refers to an image": (
        "artifacts: a_push_takes_along_what_refers_to_the_image"
        " what_refers_to_an_image_comes_along_from_a_registry"
    ),
}
"""By number and case: `FILE: TEST TEST …`, each without its `test_`."""


def named_tests(file: str) -> set[str]:
    """The names of the tests in a file, without `test_`."""
    (path,) = TESTS.rglob(f"test_{file.rpartition('/')[2]}.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {name.removeprefix("test_") for name in names if name.startswith("test_")}


def test_every_case_has_a_number() -> None:
    assert [case.partition(" ")[0] for case in CASES] == [f"D{n}" for n in range(1, 57)]


@pytest.mark.parametrize("case", CASES)
def test_every_case_has_its_tests(case: str) -> None:
    known: set[str] = set()
    found = 0
    for word in CASES[case].split():
        if word.endswith(":"):
            known = named_tests(word.removesuffix(":"))
        else:
            assert word in known
            found += 1
    assert found
