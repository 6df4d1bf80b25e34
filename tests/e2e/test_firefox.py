# SPDX-License-Identifier: Apache-2.0
"""The upload page in Firefox: where browsers differ, which is in forms, in files that are chosen and
dropped, and in requests that are broken off and begun again."""

from lib import browser, installed

SCENARIOS = ("a_small_file_is_delivered", "pause_and_resume", "a_reload_in_mid_upload")


def test_in_firefox(start):
    installed.ui()
    s = start(watch=True, settings={"LOGGER_DEBUG_ON": "false"})
    browser.drive(s, program="firefox-esr", scenarios=SCENARIOS)
